#!/bin/sh
# After the files are there, at an installation and at an upgrade. Debian says `configure`, RPM how many versions there are.
# It starts nothing: a server in production needs its PUBLIC_URL first.
set -eu

if ! getent passwd gatehouse >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/gatehouse --shell /usr/sbin/nologin gatehouse
fi
chgrp gatehouse /etc/gatehouse /etc/gatehouse/gatehouse.env
[ -d /var/lib/gatehouse ] || install -d -m 0700 -o gatehouse -g gatehouse /var/lib/gatehouse

# A secret that is there is never replaced.
if [ ! -e /etc/gatehouse/jwt_secret ]; then
  (umask 077 && gatehouse secret >/etc/gatehouse/jwt_secret.new)
  chown gatehouse:gatehouse /etc/gatehouse/jwt_secret.new
  chmod 0400 /etc/gatehouse/jwt_secret.new
  mv /etc/gatehouse/jwt_secret.new /etc/gatehouse/jwt_secret
  echo 'gatehouse: set PUBLIC_URL in /etc/gatehouse/gatehouse.env, then: systemctl enable --now gatehouse'
fi

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart gatehouse.service # only what ran before
fi
