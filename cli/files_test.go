package cli_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/inhaul/inhaul/cli"
	"github.com/inhaul/inhaul/spec"
)

func TestDiskReadsNothingOutsideTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret"), 0o600),
		os.Mkdir(filepath.Join(dir, "app"), 0o700),
		os.Symlink("../secret", filepath.Join(dir, "app", "relative")),
		os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "app", "absolute")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := cli.Disk{}.Read(filepath.Join(dir, "app"), func(folder fs.FS) error {
		for _, name := range []string{"relative", "absolute", "../secret"} {
			if data, err := fs.ReadFile(folder, name); err == nil {
				t.Errorf("%s: got %q, want an error", name, data)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDiskWritesWhole(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "inhaul.yaml")
	disk := cli.Disk{}
	if err := disk.Write(name, []byte("one"), false); err != nil {
		t.Fatal(err)
	}
	if err := disk.Write(name, []byte("two"), false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want that it exists", err)
	}
	wantFile(t, name, "one")
	if err := os.WriteFile(name+".new", []byte("left behind by a run that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.Write(name, []byte("three"), true); err != nil {
		t.Error(err)
	}
	wantFile(t, name, "three")
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v and %v, want inhaul.yaml alone", entries, err)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
}

func TestValidateRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "app", "inhaul.yaml")
	if err := errors.Join(os.Mkdir(filepath.Dir(link), 0o700), os.Symlink(write("secret", "app: s3cret"), link)); err != nil {
		t.Fatal(err)
	}
	huge := strings.Repeat("#", spec.MaxFileBytes+1)
	for _, c := range []struct{ name, file, stdin, want string }{
		{"a folder", dir, "", "is a directory"},
		{"a pipe that nobody writes to", pipe, "", "it is not a regular file"},
		{"a link that leads elsewhere", link, "", "path escapes from parent"},
		{"a file that is too large", write("huge", huge), "", "it has more than 262144 bytes"},
		{"standard input that is too large", "-", huge, "stdin cannot be read\n  why:  it has more than 262144 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, complaint strings.Builder
			inhaul := cli.Commands{Stdin: strings.NewReader(c.stdin), Stdout: &out, Stderr: &complaint, Files: cli.Disk{}}
			code := inhaul.Run(t.Context(), []string{"validate", c.file})
			if code != 1 || !strings.Contains(complaint.String(), c.want) || strings.Contains(complaint.String(), "s3cret") {
				t.Errorf("got exit code %d and\n%s\nwant 1 and %q", code, complaint.String(), c.want)
			}
		})
	}
}
