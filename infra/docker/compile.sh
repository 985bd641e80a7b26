#!/bin/sh
# Compile the Python files below a folder, so that the same files give the same bytecode whenever and wherever it is
# done: no dates (unchecked-hash: what lies in an image does not change), one order, one process.
set -eu
find "$1" -name __pycache__ -type d -prune -exec rm -rf {} +
find "$1" -name '*.py' | LC_ALL=C sort | PYTHONHASHSEED=0 python -m compileall -q -j 1 --invalidation-mode unchecked-hash -i -
