# Sourced by the scripts that build programs in Go; find_go sets $go.

# Newest that what they build asks for; older compilers fetch it as a module.
go_version=1.26.0
go=""

find_go() {
  go=$(PATH="$PATH:/usr/local/go/bin" command -v go || true)
  [ -n "$go" ] || install_go
  # Before 1.21 Go does not fetch the compiler that a module asks for.
  if "$go" env GOVERSION | grep -Eq '^go1\.(1?[0-9]|20)([^0-9]|$)'; then fetch_go; fi
}

install_go() {
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -q
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends golang-go \
    ca-certificates
  go=$(command -v go)
}

fetch_go() {
  local module folder root
  module=golang.org/toolchain@v0.0.1-go$go_version.$("$go" env GOOS)-$("$go" env GOARCH)
  folder=$(mktemp -d)
  (cd "$folder" && "$go" mod init fetch && GOFLAGS=-mod=mod "$go" mod download "$module")
  rm -r "$folder"
  root=$("$go" env GOMODCACHE)/$module
  # Modules hold no programs: nothing in them may be run, until somebody says so.
  chmod u+x "$root"/bin/* "$root"/pkg/tool/*/*
  go=$root/bin/go
  unset GOROOT
}

# build_go PROGRAM@VERSION: into $bin, and which version it is beside it.
build_go() {
  local name
  name=$(basename "${1%@*}")
  echo "building $1"
  mkdir -p "$bin"
  rm -f "$bin/$name.version"
  GOBIN=$bin GOTOOLCHAIN=auto CGO_ENABLED=0 "$go" install -ldflags="-s -w" "$1"
  echo "$1" >"$bin/$name.version"
}

is_built() {
  local name
  name=$(basename "${1%@*}")
  [ -x "$bin/$name" ] && [ "$(cat "$bin/$name.version" 2>/dev/null)" = "$1" ]
}
