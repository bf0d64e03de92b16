package convert

import (
	"bytes"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// maxNodes is how many values one file may stand for, each as often as YAML
// aliases repeat it.
const maxNodes = 50_000

// exists reports whether a regular file of that name is there.
func (c *conversion) exists(name string) bool {
	info, err := fs.Stat(c.files, name)
	return err == nil && info.Mode().IsRegular()
}

// read returns the text of a file; ok is false after a mistake.
func (c *conversion) read(name string) (text string, ok bool) {
	start := place{name, 1, 1}
	file, err := c.files.Open(name)
	if err != nil {
		c.fail(start, "reading the file: %v", err)
		return "", false
	}
	defer file.Close() //nolint:errcheck // because it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		c.fail(start, "reading the file: %v", err)
		return "", false
	}
	if len(data) > maxFileBytes {
		c.fail(start, "the file has more than %d bytes: no manifest is as large, take out what is not one", maxFileBytes)
		return "", false
	}
	c.from = append(c.from, name)
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // editors on Windows leave it
	if at, bad := badText(data); bad {
		line, column := position(data, at)
		c.fail(place{name, line, column}, "want UTF-8 text without control characters: save the file as UTF-8")
		return "", false
	}
	return string(data), true
}

// badText returns the offset of the first byte that no manifest may hold.
func badText(data []byte) (offset int, found bool) {
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size <= 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return offset, true
		}
		offset += size
	}
	return 0, false
}

// position returns the line and the column, in characters, of an offset.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// manifest is a file of keys and values that is being converted.
type manifest struct {
	*conversion
	file  string
	nodes int // values seen
}

// open returns the root of a manifest, keys and values; nil after a mistake.
func (c *conversion) open(name string) *node {
	text, ok := c.read(name)
	if !ok {
		return nil
	}
	m := &manifest{conversion: c, file: name}
	var root *node
	if strings.HasSuffix(name, ".json") {
		root = m.readJSON([]byte(text))
	} else {
		root = m.readYAML(text)
	}
	if root == nil || len(c.errs) > 0 {
		return nil
	}
	if root.kind != mapping {
		c.fail(root.place, "want keys and values, got %s", root.kind)
		return nil
	}
	c.roots = append(c.roots, root)
	return root
}

// add returns a new node.
func (m *manifest) add(n node) *node {
	m.count(n.place)
	n.m = m
	return &n
}

// count records a mistake once there are too many values.
func (m *manifest) count(at place) {
	if m.nodes++; m.nodes == maxNodes+1 {
		m.fail(at, "the file stands for more than %d values: use fewer YAML aliases", maxNodes)
	}
}
