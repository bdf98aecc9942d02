#!/bin/sh
# Before the files go. An upgrade (Debian: `upgrade`, RPM: 1) leaves the server running; its restart comes afterwards.
set -eu

case ${1:-} in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now gatehouse.service
  fi
  ;;
esac
