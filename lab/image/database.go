package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// postgresUser is the user of the image, as in that of Alpine: layers made here own
// nothing but root's files, so it brings no folder of its own.
const postgresUser = "70:70"

// postgresEntry makes the database at its first start, as the official images do, and
// listens on a socket alone until that is done.
const postgresEntry = `#!/bin/sh
set -eu
: "${PGDATA:=/var/lib/postgresql/data}" "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?is not set}"
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  umask 077
  printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --no-locale --no-sync >/dev/null
  rm /tmp/password
  if [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" postgres >/dev/null
  fi
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
fi
unset POSTGRES_PASSWORD
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
`

// Postgres returns a stand-in for library/postgres, from the machine's own, and its
// major version. It honours POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and PGDATA.
func Postgres(ctx context.Context) (img v1.Image, version string, err error) {
	t, err := shell(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("making the postgres image: %w", err)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, "", errors.New("finding PostgreSQL (apt-get install postgresql)")
	}
	bin := path.Dir(slices.Max(found))
	home := path.Dir(bin)
	version = path.Base(home)
	t.text("/etc/passwd", passwd+"postgres:x:70:70::/tmp:/bin/sh\n")
	t.text("/etc/group", group+"postgres:x:70:\n")
	t.dir("/var/lib/postgresql", fs.ModeSticky|0o777)
	for _, program := range []string{"postgres", "initdb", "pg_isready", "psql", "pg_dump", "pg_restore"} {
		// psql and others are scripts of Debian's outside of this folder.
		if err := t.program(ctx, path.Join(bin, program), path.Join(bin, program)); err != nil {
			return nil, "", fmt.Errorf("making the postgres image: %w", err)
		}
	}
	modules, err := filepath.Glob(home + "/lib/*.so*") // the JIT's compiler is left out: it is not worth 100 MB
	if err != nil {
		return nil, "", err
	}
	for _, module := range modules {
		if strings.HasPrefix(path.Base(module), "llvmjit") {
			continue
		}
		if err := t.program(ctx, module, module); err != nil {
			return nil, "", fmt.Errorf("making the postgres image: %w", err)
		}
	}
	share := "/usr/share/postgresql/" + version
	if err := t.copyAll(share, share); err != nil {
		return nil, "", fmt.Errorf("making the postgres image: %w", err)
	}
	for _, zone := range []string{"/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/Etc/UTC", "/usr/share/zoneinfo/GMT"} {
		if exists(zone) {
			if err := t.copy(zone, zone); err != nil {
				return nil, "", err
			}
		}
	}
	t.script("/usr/local/bin/docker-entrypoint.sh", postgresEntry)
	img, err = build(t, Settings{
		Entrypoint: []string{"/usr/local/bin/docker-entrypoint.sh"}, User: postgresUser,
		Env: []string{searchPath + ":" + bin, "TZ=UTC", "PGDATA=/var/lib/postgresql/data"},
	})
	return img, version, err
}

// Redis returns a stand-in for library/redis, from the machine's own, and its major
// version.
func Redis(ctx context.Context) (img v1.Image, version string, err error) {
	t, err := shell(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("making the redis image: %w", err)
	}
	for _, program := range []string{"redis-server", "redis-cli"} {
		from, err := exec.LookPath(program)
		if err != nil {
			return nil, "", fmt.Errorf("finding %s (apt-get install redis-server): %w", program, err)
		}
		if err := t.program(ctx, "/usr/local/bin/"+program, from); err != nil {
			return nil, "", fmt.Errorf("making the redis image: %w", err)
		}
	}
	told, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return nil, "", fmt.Errorf("asking redis-server for its version: %w", err)
	}
	_, after, _ := strings.Cut(string(told), "v=")
	version, _, _ = strings.Cut(after, ".")
	t.dir("/data", fs.ModeSticky|0o777)
	img, err = build(t, Settings{Cmd: []string{"redis-server"}, Env: []string{searchPath}, User: "999:999"})
	return img, version, err
}

// program adds a program, or a library, with the libraries that it links.
func (t *tree) program(ctx context.Context, name, from string) error {
	if err := t.copy(name, from); err != nil {
		return err
	}
	libraries, err := exec.CommandContext(ctx, "ldd", from).Output()
	if err != nil {
		return fmt.Errorf("listing the libraries of %s: %w", from, err)
	}
	for _, l := range library.FindAllString(string(libraries), -1) {
		if err := t.copy(l, l); err != nil {
			return err
		}
	}
	return nil
}

// script adds a program in the language of the shell.
func (t *tree) script(name, content string) {
	t.files[name] = file{mode: 0o755, content: []byte(content)}
}
