#!/bin/bash
# Every step of every small run stopped and failed, and samples of runs that fill packs.
# build: release
# long
# timeout: 3000
set -u
exec env SEALIFT_LONG=1 "$BUILD_DIR/tests/unit_repository" --filter 'crash*/*' --jobs 2
