#!/bin/bash
# bench.sh CAPTURE RUNS SECONDS
#
# What recording 32 channels costs: arecord and the capture daemon (the program CAPTURE) in turns on
# the same card in the same boot, RUNS times SECONDS each. Runs in the guest; the binary
# bench-capture prepares /results and makes a table of what is in it afterwards:
#
#   /results/tsuwaroku.toml   the daemon's configuration, 32 lines
#   /results/talk.raw         what is played, 32 channels, longer than SECONDS
#   /results/runs             a line a run: program, CPU in ns until it heard the card, CPU in ns
#                             from then on, largest resident memory in KiB
#   /results/spool/           what the daemon's last run recorded
set -euo pipefail
# shellcheck source=tests/rig/guest/common.sh
source "$(dirname "$(readlink -f "$0")")/common.sh"

capture=$1 runs=$2 seconds=$3
spool=/run/spool

cp /results/talk.raw /run/talk.raw
cp "$capture" /run/capture
load_card

# Nanoseconds that all threads of a process have run, user and kernel together.
cpu_of() {
  cat "/proc/$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

peak_memory_of() {
  awk '/^VmHWM/ { print $2 }' "/proc/$1/status"
}

# record NAME COMMAND...: one run. The same steps for both programs: started, then played to, then
# measured while both still run, then stopped.
record() {
  local name=$1 recorder started
  shift
  wait_for 10 "the card to be free" is_free
  "$@" 2>/run/log &
  recorder=$!
  wait_for 30 "$name to hear the card" is_heard || { cat /run/log >&2; exit 1; }
  started=$(cpu_of "$recorder")
  start_player 32 /run/talk.raw
  sleep "$seconds"
  echo "$name $started $(($(cpu_of "$recorder") - started)) $(peak_memory_of "$recorder")" \
    >>/results/runs
  kill -TERM "$recorder" "$player"
  wait "$recorder" "$player" || true
}

for _ in $(seq "$runs"); do
  record arecord arecord -q -D hw:CARD=Loopback,DEV=1 -c 32 -r 8000 -f S16_LE -t raw /run/heard.raw
  rm -rf "$spool" /run/heard.raw
  mkdir "$spool"
  record tsuwaroku-capture /run/capture --config /results/tsuwaroku.toml
done
cp -r "$spool" /results/spool
