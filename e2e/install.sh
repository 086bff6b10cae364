#!/bin/sh
# Installs what the end-to-end tests talk to: Debian's broker mosquitto and its
# clients, sources of identities, and an OpenID provider for Node.js. It does
# nothing where they are there already.
set -eu

packages='mosquitto mosquitto-clients postgresql mariadb-server redis-server slapd ldap-utils openssl haproxy'

# Debian puts the broker where only root looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

present() {
	for command in mosquitto mosquitto_pub mosquitto_sub mosquitto_passwd mariadbd redis-server slapd ldapadd openssl haproxy; do
		command -v "$command" >/dev/null || return 1
	done
	# Debian has no link to it in the path.
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

give_up() {
	echo "The end-to-end tests need $packages: $1." >&2
	echo "Install them and run this again." >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Mirrors fail now and then.
retry() {
	for pause in 2 5 10; do
		"$@" && return
		echo "failed, again in $pause s: $*" >&2
		sleep "$pause"
	done
	"$@"
}

debian() {
	present && return
	command -v apt-get >/dev/null || give_up 'there is no apt-get here to install them with'
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || give_up 'installing them takes root or sudo'

	retry as_root apt-get update -q || give_up 'apt-get update failed'
	# $packages is several words.
	# shellcheck disable=SC2086
	retry as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $packages || give_up 'apt-get install failed'
	present || give_up 'they were installed and are still not there'
}

provider() {
	cd "$(dirname "$0")/oidc"
	[ -d node_modules/oauth2-mock-server ] && return
	command -v npm >/dev/null || {
		echo 'The end-to-end tests need Node.js 20.19 or later with npm.' >&2
		exit 1
	}
	retry npm ci --ignore-scripts --no-audit --no-fund
}

debian
provider
