#!/usr/bin/env bash
# Looks for known vulnerabilities in what the proxy calls. The database is not
# reachable from every machine: then this says so and lets the build go on,
# rather than passing as if nothing had been found.
set -euo pipefail

code=0
output=$(${TOOL:-go tool -modfile=tools/go.mod} govulncheck ./... 2>&1) || code=$?
echo "$output"

# govulncheck exits 1 for every failure; this is the one that is not ours.
if [[ $code -eq 1 && $output == *"fetching vulnerabilities:"* ]]; then
	echo 'govulncheck: NOT RUN: the vulnerability database cannot be reached' >&2
	exit 0
fi
exit "$code"
