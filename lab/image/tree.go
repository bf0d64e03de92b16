package image

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree is a root file system in memory. Paths are absolute.
type tree struct{ files map[string]file }

type file struct {
	mode    fs.FileMode
	content []byte
	link    string // target of a symbolic link
	from    string // file on this machine, read when packing
}

func newTree() *tree { return &tree{map[string]file{}} }

func (t *tree) dir(name string, mode fs.FileMode) { t.files[name] = file{mode: fs.ModeDir | mode} }
func (t *tree) text(name, content string) {
	t.files[name] = file{mode: 0o644, content: []byte(content)}
}

func (t *tree) link(name, target string) {
	t.files[name] = file{mode: fs.ModeSymlink | 0o777, link: target}
}

// copy adds the file at from, following links, with its executable bits.
func (t *tree) copy(name, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	t.files[name] = file{mode: mode, from: from}
	return nil
}

// copyAll adds a directory with all that is in it, links as links.
func (t *tree) copyAll(name, from string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside := name + strings.TrimPrefix(p, from)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			t.link(inside, target)
			return err
		}
		return t.copy(inside, p)
	})
}

// tar packs the tree in lexical order with fixed times and owners.
func (t *tree) tar() ([]byte, error) {
	for name := range t.files {
		for d := path.Dir(name); d != "/"; d = path.Dir(d) {
			if _, ok := t.files[d]; !ok {
				t.dir(d, 0o755)
			}
		}
	}
	names := make([]string, 0, len(t.files))
	for name := range t.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		if err := t.files[name].write(w, strings.TrimPrefix(name, "/")); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func (f file) write(w *tar.Writer, name string) error {
	content := f.content
	if f.from != "" {
		var err error
		if content, err = os.ReadFile(f.from); err != nil {
			return err
		}
	}
	h := &tar.Header{Name: name, Mode: int64(f.mode.Perm()), Size: int64(len(content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	switch {
	case f.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if f.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
	case f.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
