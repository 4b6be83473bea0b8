#!/bin/sh
# Makes a folder in which arm64 Python runs on this machine, emulated: qemu, what Python needs of
# Debian, and the arm64 wheels of the engines, of the versions that this machine's Python has.
# Needs apt, dpkg-deb and pip; no root, and installs nothing.
#   PYTHON=.venv/bin/python tools/arm64_root.sh build/arm64
set -eu

root=${1:?which folder?}
python=${PYTHON:-python3}

[ ! -e "$root/.ready" ] || exit 0
rm -rf "$root"
mkdir -p "$root/apt/state/lists/partial" "$root/apt/cache/archives/partial"
root=$(cd "$root" && pwd)
apt=$root/apt

# An apt of its own: it knows no installed package, and leaves the machine's lists alone.
touch "$apt/status"
own_apt() {
  apt-get -q -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" \
    -o Dir::Etc::SourceParts=/dev/null -o Debug::NoLocking=1 -o APT::Sandbox::User="" \
    -o APT::Install-Recommends=false -o APT::Architecture="$arch" -o APT::Architectures="$arch" "$@"
}
choose() {  # architecture, suite
  arch=$1
  echo "deb http://deb.debian.org/debian $2 main" > "$apt/sources.list"
  own_apt update
}

choose arm64 bookworm  # its Python is 3.11
own_apt install --download-only -y python3.11 libstdc++6
for file in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$file" "$root"; done

# Under bookworm's qemu 7.2, onnxruntime from 1.28 and LiteRT from 2.2 crash.
choose "$(dpkg --print-architecture)" trixie
(cd "$apt" && own_apt download qemu-user)
dpkg-deb -x "$apt"/qemu-user_*.deb "$apt/qemu"
mv "$apt/qemu/usr/bin/qemu-aarch64" "$root/"
rm -rf "$apt"

# Of OpenCV the variant without windows, which needs no libGL.
packages=$("$python" - <<'EOF'
from importlib.metadata import PackageNotFoundError, version

wanted = {"numpy": "numpy", "onnxruntime": "onnxruntime", "ai-edge-litert": "ai-edge-litert",
          "opencv-python-headless": "opencv-python"}
for package, here in wanted.items():
    try:
        print(f"{package}=={version(here)}")
    except PackageNotFoundError:
        print(package)
EOF
)
# shellcheck disable=SC2086 # a list of words
"$python" -m pip install --quiet --target "$root/packages" --only-binary=:all: \
  --python-version 3.11 --implementation cp --platform manylinux_2_28_aarch64 \
  --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 $packages
touch "$root/.ready"
