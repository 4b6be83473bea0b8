// Measures one ONNX file on onnxruntime-web's WebAssembly engine under Node: see worker.py for
// the task's and the result's fields.
"use strict";

const fs = require("node:fs");
const ort = require(require.resolve("onnxruntime-web", {
  paths: [process.cwd(), ...(process.env.NODE_PATH || "").split(require("node:path").delimiter)],
}));

const WARM_UP = 5;
const ARRAYS = { float32: Float32Array, uint8: Uint8Array };

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
  const Numbers = ARRAYS[task.dtype];
  const bytes = fs.readFileSync(task.tensors);
  const tensors = new Numbers(bytes.buffer, bytes.byteOffset, bytes.length / Numbers.BYTES_PER_ELEMENT);
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

  // Images from `first` on, beginning again after the last, in calls of what the file takes.
  const batches = (first, size) => {
    const length = task.batch || size;
    return Array.from({ length: Math.ceil(size / length) }, (_, number) => {
      const data = new Numbers(length * pixels);
      for (let i = 0; i < length; i++) {
        const start = ((first + number * length + i) % count) * pixels;
        data.set(tensors.subarray(start, start + pixels), i * pixels);
      }
      return new ort.Tensor(task.dtype, data, [length, ...shape]);
    });
  };
  const run = async (calls) => {
    const rows = [];
    for (const tensor of calls) {
      rows.push((await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]]);
    }
    return rows;
  };

  const outputs = [];
  let classes = 0;
  for (let first = 0; first < count; first += task.chunk) {
    const size = Math.min(task.chunk, count - first);
    const rows = await run(batches(first, size));
    classes = rows[0].data.length / rows[0].dims[0];
    // What fills the last call up is no answer.
    const data = Buffer.concat(rows.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
    outputs.push(data.subarray(0, size * classes * Float32Array.BYTES_PER_ELEMENT));
  }
  fs.writeFileSync(task.outputs, Buffer.concat(outputs));

  const durations = {};
  for (const [size, calls] of Object.entries(task.timed)) {
    for (let i = 0; i < WARM_UP; i++) await run(batches(0, Number(size)));
    durations[size] = [];
    const end = performance.now() + 1000 * task.seconds;
    while (durations[size].length < calls && performance.now() < end) {
      const given = batches(durations[size].length * size, Number(size));
      const start = performance.now();
      await run(given);
      durations[size].push(1000 * (performance.now() - start));
    }
  }
  const peak = residentBytes("VmHWM");
  return {
    version: ort.env.versions.web,
    load_ms: loadMs,
    memory_bytes: before === null || peak === null ? null : peak - before,
    classes,
    durations_us: durations,
  };
}

const task = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
measure(task)
  .catch((error) => ({ error: String(error.message || error) }))
  .then((result) => fs.writeFileSync(task.result, JSON.stringify(result)));
