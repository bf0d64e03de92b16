package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files is where the commands read and write.
type Files interface {
	// Read calls read with the folder dir. Nothing outside dir can be read
	// there, and nothing at all when read has returned.
	Read(dir string, read func(fs.FS) error) error
	// Write makes the file whole or not at all. If there is one already, it is
	// left as it is with fs.ErrExist, or replaced.
	Write(name string, data []byte, replace bool) error
}

// Folders are where Files are.
type Folders interface {
	// Make makes a folder and those that it is in, as far as they are missing.
	Make(dir string) error
}

// Disk is the machine's own files; relative names start in the working
// directory.
type Disk struct{}

var (
	_ Files   = Disk{}
	_ Folders = Disk{}
)

// Make implements Folders.
func (Disk) Make(dir string) error { return os.MkdirAll(dir, folderMode) }

// folderMode lets everybody look into a folder, as far as the umask does.
const folderMode = 0o755

// Read implements Files. A symbolic link that leads out of dir is refused.
func (Disk) Read(dir string, read func(fs.FS) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // because it is only read from
	return read(root.FS())
}

// fileMode lets everybody read what was written, as far as the umask does.
const fileMode = 0o644

// Write implements Files.
func (Disk) Write(name string, data []byte, replace bool) error {
	target := name
	if replace {
		name += ".new"
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Close())
	if err == nil && replace {
		err = os.Rename(name, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// defaultFile is what the commands read and write when nothing else is said.
const defaultFile = "inhaul.yaml"

// stdinName stands for standard input where a file can be named.
const stdinName = "-"

// shown is a file's name as messages have it.
func shown(name string) string {
	if name == stdinName {
		return "stdin"
	}
	return filepath.ToSlash(filepath.Clean(name))
}

// read returns a file's content, or standard input's for "-".
func (c Commands) read(name string, limit int64) ([]byte, error) {
	if name == stdinName {
		return capped(c.Stdin, limit)
	}
	dir, base := filepath.Split(filepath.Clean(name))
	var data []byte
	err := c.Files.Read(filepath.Clean(dir), func(folder fs.FS) error {
		file, err := plain{FS: folder}.Open(base)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // because it is only read from
		data, err = capped(file, limit)
		return err
	})
	return data, err
}

// errNoFile says that a name is something else's.
var errNoFile = errors.New("it is not a regular file")

// plain is a folder of files and folders: opening a pipe would wait for whoever
// writes to it. The hidden file, if any, is not there.
type plain struct {
	fs.FS
	hidden string
}

var _ fs.StatFS = plain{}

// Open implements fs.FS.
func (p plain) Open(name string) (fs.File, error) {
	entry, err := p.Stat(name)
	if err != nil {
		return nil, err
	}
	if !entry.Mode().IsRegular() && !entry.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNoFile}
	}
	return p.FS.Open(name)
}

// Stat implements fs.StatFS.
func (p plain) Stat(name string) (fs.FileInfo, error) {
	if p.hidden != "" && name == p.hidden {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return fs.Stat(p.FS, name)
}

// capped reads all of r, unless that is more than limit.
func capped(r io.Reader, limit int64) ([]byte, error) {
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return data.Bytes(), err
}

// unreadable is the fault of a file that could not be read; absent is what to
// do if there is none.
func unreadable(name string, err error, absent string) error {
	f := &fault{what: name + " cannot be read", why: err.Error(), next: "name a file that you may read"}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		f.why = path.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.next = absent
	}
	return f
}
