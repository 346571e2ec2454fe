#!/bin/sh
# Makes what compose.yaml keeps secret, in deploy/secrets; what is there already stays.
#
# The containers' users read these files, and Compose gives them the mode they have here: they
# are readable, and the folder around them is closed to everybody but you.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

random() { head -c 33 /dev/urandom | base64 | tr '+/' '-_'; }

# keep <file> <content>: whole or not at all
keep() {
  [ -e "$1" ] && return
  printf '%s\n' "$2" >".$1"
  chmod 644 ".$1"
  mv ".$1" "$1"
}

for name in secret_key jwt_secret_key db_password redis_password admin_password metrics_token; do
  keep "$name" "$(random)"
done
password=$(cat redis_password)
keep redis_url "redis://:$password@redis:6379/0"
# It keeps nothing: hints and counters are of the moment.
keep redis_conf "requirepass $password
save \"\"
maxmemory 256mb
maxmemory-policy allkeys-lru"
echo "The admin's first password is in $(pwd)/admin_password"
