# Shared by the scripts of this directory: the loopback card, and waiting. Sourced, not run.
# What is played into hw:Loopback,0,0 is heard on hw:Loopback,1,0.
# shellcheck shell=bash

# wait_for SECONDS WHAT COMMAND...: runs COMMAND until it succeeds.
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if [ "$SECONDS" -ge "$until" ]; then
      echo "waited in vain for $what" >&2
      return 1
    fi
    sleep 0.2
  done
}

load_card() {
  modprobe snd-aloop pcm_substreams=1
  wait_for 10 "the loopback card" test -e /dev/snd/pcmC0D1c
}

# Whether somebody hears the card: the capture side has been opened and runs.
is_heard() {
  grep -q '^state: RUNNING' /proc/asound/Loopback/pcm1c/sub0/status 2>/dev/null
}

# Whether nobody has either side open.
is_free() {
  [ "$(cat /proc/asound/Loopback/pcm{0p,1c}/sub0/status 2>/dev/null)" = $'closed\nclosed' ]
}

# start_player CHANNELS FILE: plays S16_LE at 8 kHz in the background; $player is its process.
start_player() {
  aplay -q -D hw:Loopback,0,0 -t raw -f S16_LE -r 8000 -c "$1" --buffer-time=2000000 "$2" &
  player=$!
}

# play CHANNELS FILE: the same, to its end.
play() {
  start_player "$@"
  wait "$player"
}
