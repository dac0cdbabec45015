#!/bin/bash
# kernel.sh CAPTURE
#
# The real capture daemon (the program CAPTURE) on a sound card of a real kernel, through ordinary
# calls, one forced overrun and one unplug. Runs in the guest; tests/kernel.rs prepares
# /results and judges what is in it afterwards:
#
#   /results/tsuwaroku.toml                          the daemon's configuration
#   /results/{plain,overrun,cut,again}.raw           what is played, eight channels
#   /results/spool/, capture.log, capture.status     what came of it
set -euo pipefail
# shellcheck source=tests/rig/guest/common.sh
source "$(dirname "$(readlink -f "$0")")/common.sh"

capture=$1
spool=/run/spool

# Bytes come from memory while they are played: the share is slow.
mkdir /run/played "$spool"
cp /results/*.raw /run/played/
load_card

"$capture" --config /results/tsuwaroku.toml 2>/run/capture.log &
daemon=$!

# Whatever happens, the test sees what the daemon said and left.
keep_results() {
  kill -KILL "$daemon" 2>/dev/null || true
  cp /run/capture.log /results/capture.log
  cp -r "$spool" /results/spool
}
trap keep_results EXIT

has_recorded() { # COUNT
  [ "$(find "$spool/ready" -name '*.call' 2>/dev/null | wc -l)" -ge "$1" ]
}

is_quiet() {
  [ -z "$(find "$spool/incoming" -name '*.call' 2>/dev/null)" ]
}

alive() {
  kill -0 "$daemon" 2>/dev/null || { echo "the daemon has died" >&2; return 1; }
}

echo "== plain: two calls on each of eight lines"
wait_for 30 "the daemon to hear the card" is_heard
play 8 /run/played/plain.raw
wait_for 30 "16 recordings" has_recorded 16

echo "== overrun: the daemon is stopped for longer than the card's buffer"
start_player 8 /run/played/overrun.raw
sleep 5.5
kill -STOP "$daemon"
sleep 2.5
kill -CONT "$daemon"
wait "$player"
wait_for 30 "24 recordings" has_recorded 24

echo "== unplug: the card goes in the middle of eight calls, and comes back"
start_player 8 /run/played/cut.raw
sleep 6
echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind
wait "$player" && { echo "the player did not notice the unplug" >&2; exit 1; }
sleep 2
alive
echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind
wait_for 30 "the daemon to hear the card again" is_heard
wait_for 30 "the calls of the lost card to end" is_quiet
has_recorded 32 || { echo "a call of the lost card is missing" >&2; exit 1; }
play 8 /run/played/again.raw
wait_for 30 "40 recordings" has_recorded 40
wait_for 30 "the last calls to end" is_quiet
alive

kill -TERM "$daemon"
wait "$daemon" && status=0 || status=$?
echo "$status" >/results/capture.status
