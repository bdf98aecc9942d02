#!/bin/sh
# After the files are gone. Only Debian's purge deletes more. Accounts, and the secret without which they can't be read, it
# leaves to whoever is sure: an empty /var/lib/gatehouse says nothing, since the database may be PostgreSQL or lie elsewhere.
set -eu

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
[ "${1:-}" = purge ] || exit 0
rm -f /etc/gatehouse/jwt_secret.new # of an installation that broke off: never in use
rmdir /var/lib/gatehouse /etc/gatehouse 2>/dev/null || true
if [ -e /etc/gatehouse/jwt_secret ] || [ -e /var/lib/gatehouse ]; then
  echo 'gatehouse: /etc/gatehouse/jwt_secret and what is in /var/lib/gatehouse stay. No database that was used with this secret, here or on a server,' \
    'and no backup of one, can be read without it: delete both when you are sure'
elif getent passwd gatehouse >/dev/null && command -v userdel >/dev/null; then
  userdel gatehouse
fi
