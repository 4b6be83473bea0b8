// Measures one ONNX file on onnxruntime-web's WebAssembly engine under Node: see worker.py for
// the task's and the result's fields.
"use strict";

const fs = require("node:fs");
const ort = require(require.resolve("onnxruntime-web", {
  paths: [process.cwd(), ...(process.env.NODE_PATH || "").split(require("node:path").delimiter)],
}));

const WARM_UP = 5;

// As resident_bytes in worker.py: maxRSS would count the parent process too.
function residentBytes(field) {
  try {
    const line = fs.readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${field}:\\s*(\\d+)`, "m"));
    return line === null ? null : 1024 * Number(line[1]);
  } catch {
    return null;
  }
}

async function measure(task) {
  const bytes = fs.readFileSync(task.tensors);
  const tensors = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const [count, ...shape] = task.shape;
  const pixels = shape.reduce((product, side) => product * side, 1);
  ort.env.wasm.numThreads = task.threads;
  ort.env.logLevel = "error";
  const before = residentBytes("VmRSS");
  const started = performance.now();
  const session = await ort.InferenceSession.create(fs.readFileSync(task.model), {
    executionProviders: ["wasm"],
  });
  const loadMs = performance.now() - started;

  // Images from `first` on, beginning again after the last.
  const batch = (first, size) => {
    const data = new Float32Array(size * pixels);
    for (let i = 0; i < size; i++) {
      const start = ((first + i) % count) * pixels;
      data.set(tensors.subarray(start, start + pixels), i * pixels);
    }
    return new ort.Tensor("float32", data, [size, ...shape]);
  };
  const run = async (tensor) =>
    (await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]];

  const outputs = [];
  for (let first = 0; first < count; first += task.chunk) {
    outputs.push((await run(batch(first, Math.min(task.chunk, count - first)))).data);
  }
  const bytesOf = (rows) => Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  fs.writeFileSync(task.outputs, Buffer.concat(outputs.map(bytesOf)));

  const durations = {};
  for (const [size, calls] of Object.entries(task.timed)) {
    for (let i = 0; i < WARM_UP; i++) await run(batch(0, Number(size)));
    durations[size] = [];
    const end = performance.now() + 1000 * task.seconds;
    while (durations[size].length < calls && performance.now() < end) {
      const tensor = batch(durations[size].length * size, Number(size));
      const start = performance.now();
      await run(tensor);
      durations[size].push(1000 * (performance.now() - start));
    }
  }
  const peak = residentBytes("VmHWM");
  return {
    version: ort.env.versions.web,
    load_ms: loadMs,
    memory_bytes: before === null || peak === null ? null : peak - before,
    classes: outputs[0].length / Math.min(task.chunk, count),
    durations_us: durations,
  };
}

const task = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
measure(task)
  .catch((error) => ({ error: String(error.message || error) }))
  .then((result) => fs.writeFileSync(task.result, JSON.stringify(result)));
