package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestABinaryAlwaysBecomesTheSameImage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(path, []byte("ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings := Settings{Env: []string{"A=b"}, User: "65532:65532"}
	first, err := Binary(path, []string{"serve"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	second, err := Binary(path, []string{"serve"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := first.Digest()
	b, errB := second.Digest()
	if err := errors.Join(errA, errB); err != nil || a != b {
		t.Errorf("got %v and %v (%v), want one digest", a, b, err)
	}
	config, err := first.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/app", "serve"}, config.Config.Entrypoint); diff != "" || config.Config.User != "65532:65532" {
		t.Errorf("got %+v %s", config.Config, diff)
	}
}

func TestTreeHasParentsBeforeChildren(t *testing.T) {
	t.Parallel()
	tr := newTree()
	tr.dir("/tmp", os.ModeSticky|0o777)
	tr.text("/etc/ssl/roots", "PEM")
	tr.link("/bin/sh", "busybox")
	content, err := tr.tar()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type entry struct {
		Name, Link string
		Mode       int64
	}
	var got []entry
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry{h.Name, h.Linkname, h.Mode})
	}
	want := []entry{
		{"bin/", "", 0o755},
		{"bin/sh", "busybox", 0o777},
		{"etc/", "", 0o755},
		{"etc/ssl/", "", 0o755},
		{"etc/ssl/roots", "", 0o644},
		{"tmp/", "", 0o1777},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
