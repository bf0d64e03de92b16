package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestPostgresRuns starts the image as a preview does: its own user, a folder of root
// and of the group 999, and a password from the environment.
func TestPostgresRuns(t *testing.T) {
	t.Parallel()
	img, version, err := Postgres(t.Context())
	if err != nil {
		t.Skipf("SKIP: no PostgreSQL was run: %v", err)
	}
	root, port := unpacked(t, img), freePort(t)
	env := []string{"POSTGRES_USER=app", "POSTGRES_DB=app", "POSTGRES_PASSWORD=s3cret", "PGDATA=/data/postgres"}
	start(t, img, root, 70, env, "-p", port)
	ask := func(password string) (string, error) {
		url := "postgres://app:" + password + "@127.0.0.1:" + port + "/app?sslmode=disable&connect_timeout=2"
		return inside(t, img, root, "/usr/lib/postgresql/"+version+"/bin/psql", url, "-Atc", "select current_user || current_database()")
	}
	awaits(t, func() error {
		_, err := inside(t, img, root, "pg_isready", "-q", "-h", "127.0.0.1", "-p", port, "-U", "app", "-d", "app")
		return err
	})
	if got, err := ask("s3cret"); err != nil || got != "appapp" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := ask("guess"); err == nil || !strings.Contains(got, "password authentication failed") {
		t.Errorf("another password: got %q, %v", got, err)
	}
}

// TestRedisRuns starts the image as a preview does.
func TestRedisRuns(t *testing.T) {
	t.Parallel()
	img, _, err := Redis(t.Context())
	if err != nil {
		t.Skipf("SKIP: no Redis was run: %v", err)
	}
	root, port := unpacked(t, img), freePort(t)
	start(t, img, root, 999, nil, "redis-server", "--dir", "/data", "--requirepass", "s3cret", "--appendonly", "no", "--save", "", "--port", port)
	awaits(t, func() error {
		got, err := inside(t, img, root, "redis-cli", "--no-auth-warning", "-a", "s3cret", "-p", port, "ping")
		if err == nil && got != "PONG" {
			err = errors.New(got)
		}
		return err
	})
	if got, _ := inside(t, img, root, "redis-cli", "-p", port, "ping"); !strings.Contains(got, "NOAUTH") {
		t.Errorf("without the password: got %q", got)
	}
}

// unpacked is the file system of the image, with a volume of the group 999.
func unpacked(t *testing.T, img v1.Image) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: no image was run: that needs root")
	}
	root := t.TempDir()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = extract(r, h, filepath.Join(root, filepath.Clean("/"+h.Name)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(
		os.MkdirAll(root+"/data", 0o775), os.Chown(root+"/data", 0, 999), os.Chmod(root+"/data", 0o2775|os.ModeSetgid),
		os.MkdirAll(root+"/dev/shm", 0o777), os.Chmod(root+"/dev/shm", 0o1777|os.ModeSticky),
		syscall.Mknod(root+"/dev/null", syscall.S_IFCHR|0o666, 1<<8|3), syscall.Mknod(root+"/dev/urandom", syscall.S_IFCHR|0o666, 1<<8|9),
		os.Chmod(root+"/dev/null", 0o666), os.Chmod(root+"/dev/urandom", 0o666),
	)
	if err != nil {
		t.Skipf("SKIP: no image was run: %v", err)
	}
	return root
}

func extract(r io.Reader, h *tar.Header, path string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, h.FileInfo().Mode()))
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// start runs the image until the test ends.
func start(t *testing.T, img v1.Image, root string, user uint32, env []string, args ...string) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	args = append(append([]string{}, config.Config.Entrypoint...), args...)
	if !strings.Contains(args[0], "/") {
		args[0] = "/usr/local/bin/" + args[0]
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", append(config.Config.Env, env...), &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user, Groups: []uint32{999}}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // its end is not what is tested
		if t.Failed() {
			t.Logf("it said:\n%s", said.String())
		}
	})
}

// inside runs a program of the image.
func inside(t *testing.T, img v1.Image, root string, command ...string) (string, error) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/env", command...)
	cmd.Dir, cmd.Env = "/", config.Config.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// awaits waits for a database, which is there within seconds.
func awaits(t *testing.T, holds func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatalf("never: %v", err)
}
