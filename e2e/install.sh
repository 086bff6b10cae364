#!/bin/sh
# Installs what the end-to-end tests talk to: Debian's broker mosquitto and its
# clients, sources of identities, a browser, and for Node.js an OpenID provider and
# MQTT.js. It does nothing where they are there already.
set -eu

# shellcheck source=tools/apt.sh
. "$(dirname "$0")/../tools/apt.sh"

packages='mosquitto mosquitto-clients postgresql mariadb-server redis-server slapd ldap-utils openssl haproxy chromium'

# Debian puts the broker where only root looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

present() {
	for command in mosquitto mosquitto_pub mosquitto_sub mosquitto_passwd mariadbd redis-server slapd ldapadd openssl haproxy chromium; do
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

debian() {
	present && return
	# $packages is several words.
	# shellcheck disable=SC2086
	apt_install $packages || give_up 'they cannot be installed'
	present || give_up 'they were installed and are still not there'
}

# modules FOLDER PACKAGE installs what package-lock.json of the folder names.
modules() {
	[ -d "$1/node_modules/$2" ] && return
	command -v npm >/dev/null || {
		echo 'The end-to-end tests need Node.js 20.19 or later with npm.' >&2
		exit 1
	}
	retry npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund
}

debian
cd "$(dirname "$0")"
modules oidc oauth2-mock-server
modules websocket mqtt
