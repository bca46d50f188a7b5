#!/bin/bash
# Builds the fuzz targets with the address sanitizer and lets each run for FUZZ_SECONDS, FUZZ_JOBS of them at a time.
#   scripts/fuzz.sh [TARGET…]           all targets without one
#   scripts/fuzz.sh --replay FILE       the target is the name of the folder that the file lies in
# What is found lies in FUZZ_FINDINGS/TARGET/, and the command that replays it is printed. Documentation/fuzzing.md has the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-2}
findings=${FUZZ_FINDINGS:-Fuzz/.build-findings}
swift=${SWIFT:-swift}
scratch=Fuzz/.build-fuzz

# Swift's modules are instrumented, Postern's and the dependencies'; their C is not, it only would be slow. Debian's default linker dies of
# the sanitizer's symbols, Swift's own does not.
build=("$swift" build -c release --package-path Fuzz --scratch-path "$scratch" -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing
    -Xswiftc -use-ld=lld)
"${build[@]}"
fuzz="$("${build[@]}" --show-bin-path)/fuzz"

# The runtime of Swift keeps what it has allocated once; an allocator that says "no" is no finding of ours.
# Its own crash handler reads the stack in ways that the sanitizer takes for errors.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1

if [ "${1:-}" = --replay ]; then
    exec "$fuzz" --target="$(basename "$(dirname "$2")")" -timeout=5 -rss_limit_mb=1024 "$2"
fi

# Repetitions of a word reach limits at several hundred kilobytes: --lengths makes those, libFuzzer everything else.
largest() {
    case "$1" in
        message) echo 8192 ;;
        *) echo 4096 ;;
    esac
}

# What libFuzzer adds to the corpus goes into the first folder; the one in the repository is only read.
fuzz_once() {
    local target=$1 length=$2
    "$fuzz" --target="$target" -max_total_time="$length" -max_len="$(largest "$target")" -timeout=5 -rss_limit_mb=1024 -report_slow_units=10 \
        -use_value_profile=1 -print_final_stats=1 -dict="Fuzz/Dictionaries/$target.dict" -artifact_prefix="$findings/$target/" \
        "$findings/corpus/$target" "Fuzz/Corpus/$target"
}

# libFuzzer's clock goes on while its process is stopped or waits for others: what it calls slow counts only where the input takes as
# long of the processor's time.
drop_what_is_not_slow() {
    local target=$1 found taken
    local TIMEFORMAT='%U %S'
    for found in "$findings/$target"/timeout-* "$findings/$target"/slow-unit-*; do
        [ -e "$found" ] || continue
        taken=$({ time (ulimit -t 20; "$fuzz" --target="$target" -timeout=600 -rss_limit_mb=1024 "$found" >/dev/null 2>&1) || echo 1000 0 >&2; } 2>&1 |
            awk '{ sum += $1 + $2 } END { print int(sum) }')
        if [ "$taken" -lt 5 ]; then mv "$found" "$findings/corpus/$target/"; fi
    done
}

run() {
    local target=$1 folder="$findings/$1" status=0 used=0 executions=0 rounds=0 failed
    mkdir -p "$folder" "$findings/corpus/$target"
    : >"$findings/$target.log"
    # Again until it had its seconds of the processor's time: on a busy machine, or when it was stopped for a while, once is not enough.
    while [ "$used" -lt "$seconds" ] && [ "$rounds" -lt 30 ]; do
        rounds=$((rounds + 1)) failed=0
        local TIMEFORMAT='%U %S' left=$((seconds - used))
        { time fuzz_once "$target" "$left" >"$findings/$target.round.log" 2>&1; } 2>"$findings/$target.time" || failed=1
        used=$((used + $(awk 'END { print int($1 + $2 + 1) }' "$findings/$target.time")))
        executions=$((executions + $(sed -n 's/^stat::number_of_executed_units: *//p' "$findings/$target.round.log" | grep . || echo 0)))
        cat "$findings/$target.round.log" >>"$findings/$target.log"
        drop_what_is_not_slow "$target"
        if [ -n "$(ls -A "$folder")" ]; then break; fi
        # It ended badly, and not by an input that was only slow because the machine was.
        if [ "$failed" -ne 0 ] && ! grep -q 'ERROR: libFuzzer: timeout' "$findings/$target.round.log"; then
            status=1
            break
        fi
    done
    rm -f "$findings/$target.round.log" "$findings/$target.time"
    # Last, because it knows no time limit: minutes for a grammar with many words.
    if ! "$fuzz" --target="$target" "--lengths=Fuzz/Dictionaries/$target.dict" >"$findings/$target.lengths.log" 2>&1; then status=1; fi
    echo "fuzz: $target: $executions executions in $used s of the processor's time; $(tail -n 1 "$findings/$target.lengths.log")"
    local found
    for found in "$folder"/*; do
        [ -e "$found" ] || continue
        status=1
        echo "fuzz: FOUND $found: replay it with: scripts/fuzz.sh --replay $found"
    done
    if [ "$status" -ne 0 ]; then
        grep -h -m 3 'property broken\|Fatal error\|ERROR: \|takes .* for 512 KiB' "$findings/$target.log" "$findings/$target.lengths.log" || true
        touch "$findings/failed"
    fi
}

targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <("$fuzz" --list)
mkdir -p "$findings"
rm -f "$findings/failed"
echo "fuzz: ${#targets[@]} targets, $seconds s each, $jobs at a time; findings go to $findings"
for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
    run "$target" &
done
wait
if [ -e "$findings/failed" ]; then
    echo "fuzz: there are findings, see above and in $findings"
    exit 1
fi
echo "fuzz: nothing was found"
