#!/usr/bin/env bash
# Runs the Action's program: the step of action.yml, and nothing else.
#
# action/program.txt, which the commit of a release has, says which program that
# is, by its checksum: these bytes run, or none. They are downloaded once and kept
# in the runner's tool cache. A commit without the file is of no release: there
# the program is built from source, with the runner's Go.
#
#   INHAUL_RELEASES_URL      a mirror of the releases, for runners that do not
#                            reach github.com; it needs no trust
#   INHAUL_DOWNLOAD_TIMEOUT  seconds that one try may take (120)
set -euo pipefail

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# GitHub answers now and then with 5xx for some seconds; more than that is an outage.
tries=4
# 5 redirects are plenty: GitHub's own is one.
redirects=5
timeout=${INHAUL_DOWNLOAD_TIMEOUT:-120}

# fail CODE MESSAGE says an error where GitHub shows it, and ends the step: 1 is
# for what the user can mend, 2 for what we have to.
fail() {
  local message=${2//'%'/%25}
  message=${message//$'\r'/}
  echo "::error title=inhaul::${message//$'\n'/%0A}"
  exit "$1"
}

# digest FILE prints its SHA-256. Not every sha256sum uses the processor's own
# instructions: of 10 MB one took 30 ms and openssl 10 ms, at each start.
digest() {
  local line
  if command -v openssl >/dev/null; then
    line=$(openssl dgst -sha256 -r "$1")
  else
    line=$(sha256sum "$1")
  fi
  echo "${line%% *}"
}

# matches FILE: these are the bytes that this commit names.
matches() { [ -f "$1" ] && [ "$(digest "$1")" = "$sum" ]; }

# retry WHY tells that there will be another try, and waits for it.
retry() {
  [ "$try" -lt $((tries - 1)) ] || return 0
  echo "downloading $url: $1; trying again in $((1 << try)) s"
  sleep $((1 << try))
}

# download FILE gets the asset into FILE, or fails.
download() {
  local file=$1 status code why try got
  command -v curl >/dev/null || fail 1 "Inhaul could not be downloaded, because this runner has no curl. Next: install curl in a step before, or in the container of the job."
  for ((try = 0; try < tries; try++)); do
    code=0
    # The limit is the kernel's, for servers that do not say how much they send.
    status=$(
      ulimit -f $((size / 1024 + 1)) 2>/dev/null || true
      exec curl --fail --silent --show-error --location --max-redirs $redirects --proto '=http,https' \
        --connect-timeout 10 --speed-limit 1024 --speed-time 20 --max-time "$timeout" --max-filesize "$size" \
        --output "$file" --write-out '%{http_code}' "$url" 2>"$file.why"
    ) || code=$?
    why=$(head -c 300 "$file.why" | tr '\n' ' ')
    rm -f "$file.why"
    case "$code $status" in
      "0 "*)
        matches "$file" && return
        got=$(stat -c %s "$file")
        if [ "$got" -lt "$size" ]; then
          why="the download ended after $got of $size bytes"
          retry "$why"
          continue
        fi
        fail 2 "Inhaul $version was not run: $url is not the program that this commit of the Action names (sha256: got $(digest "$file"), want $sum). Somebody changed the file on its way, or the release. Next: run the job again; if it stays, do not work around it, and report it as https://github.com/inhaul/inhaul/security/policy says."
        ;;
      "22 408" | "22 429" | "22 5"??) retry "the server answered $status" ;;
      "22 "*)
        fail 2 "Inhaul $version could not be downloaded: $url answered $status. Next: look whether the release still has that file, and whether INHAUL_RELEASES_URL, if it is set, names the folder that has it."
        ;;
      "63 "* | "23 "* | "153 "*) # too large by its header, or by the limit
        fail 2 "Inhaul $version was not run: $url sends more than the $size bytes that this commit of the Action names, or the disk of the runner is full ($why). Next: run the job again; if it stays, compare the release with its checksums.txt."
        ;;
      *) retry "${why:-curl ended with $code}" ;;
    esac
  done
  fail 2 "Inhaul $version could not be downloaded in $tries tries: $url: ${why:-the server answered $status}. Nothing was built or deployed. Next: look at https://www.githubstatus.com and run the job again; runners that do not reach github.com need a mirror of the release in INHAUL_RELEASES_URL."
}

# built is the program of a commit that is no release, from its source.
build() {
  if [ ! -f "$here/../go.mod" ] || ! command -v go >/dev/null; then
    fail 1 "Inhaul was not run: this commit of the Action is of no release, so it has to be built, and this runner has no Go. Next: use a release, such as inhaul/inhaul@v1 or the commit of one, or add actions/setup-go as a step before."
  fi
  program=${RUNNER_TEMP:?}/inhaul-action
  go build -C "$here/.." -o "$program" ./cmd/inhaul-action
}

read -r os machine < <(uname -sm)
case "$os" in
  Linux) ;;
  Darwin) fail 1 "Inhaul runs on Linux, and this runner is a Mac. Next: give the job runs-on: ubuntu-latest; other jobs may stay where they are." ;;
  *) fail 1 "Inhaul runs on Linux, and this runner is $os. Next: give the job runs-on: ubuntu-latest; other jobs may stay where they are." ;;
esac

if [ ! -f "$here/program.txt" ]; then
  build
  exec "$program" "$@"
fi

case "$machine" in
  x86_64 | amd64) platform=linux/amd64 ;;
  aarch64 | arm64) platform=linux/arm64 ;;
  *) platform=linux/$machine ;;
esac
version='' url='' sum='' size='' asset=''
while read -r key value rest; do
  case "$key" in
    version) version=$value ;;
    url) url=$value ;;
    "$platform") sum=$value && read -r size asset <<<"$rest" ;;
  esac
done <"$here/program.txt"
[ -n "$asset" ] || fail 1 "Inhaul $version was not run: it has no program for $machine. Next: use a runner with x64 or arm64, such as ubuntu-latest or ubuntu-24.04-arm."
if [ -n "${INHAUL_RELEASES_URL:-}" ]; then
  url=${INHAUL_RELEASES_URL%/}/$version
fi
url=$url/$asset
command -v sha256sum >/dev/null || command -v openssl >/dev/null || fail 1 "Inhaul was not run: this runner has no sha256sum to verify it with. Next: install coreutils in a step before, or in the container of the job."

# The checksum is in the name: what a tag that moved brought stays apart.
for cache in "${RUNNER_TOOL_CACHE:-}" "${RUNNER_TEMP:-}"; do
  dir=$cache/inhaul-action/${version#v}
  program=$dir/$sum
  if [ -n "$cache" ] && { [ -f "$program" ] || { mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ]; }; }; then
    break
  fi
  program=
done
[ -n "$program" ] || fail 1 "Inhaul was not run: neither RUNNER_TOOL_CACHE (${RUNNER_TOOL_CACHE:-not set}) nor RUNNER_TEMP (${RUNNER_TEMP:-not set}) can be written to. Next: mend the runner's folders."

# Another job of this runner may do the same now: what has its name is whole.
if ! matches "$program"; then
  new=$(mktemp "$dir/.new.XXXXXX")
  trap 'rm -f "$new"' EXIT
  download "$new"
  chmod 755 "$new"
  mv -f "$new" "$program"
  trap - EXIT
  echo "Inhaul $version, downloaded and verified (sha256:$sum)"
fi
exec "$program" "$@"
