package action

import (
	"bytes"
	"io"
	"strings"
)

// What is kept of a program's output for an error.
const (
	tailLines     = 25
	tailLineBytes = 400
)

// tail passes everything on and keeps the last lines.
type tail struct {
	out     io.Writer
	kept    []string
	partial []byte
}

func (t *tail) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		room := max(tailLineBytes-len(t.partial), 0)
		t.partial = append(t.partial, line[:min(len(line), room)]...)
		if rest = after; ended {
			t.keep()
		}
	}
	return t.out.Write(p)
}

func (t *tail) keep() {
	if text := strings.ToValidUTF8(strings.TrimRight(string(t.partial), " \r\t"), "?"); text != "" {
		t.kept = append(t.kept, text)
		t.kept = t.kept[max(len(t.kept)-tailLines, 0):]
	}
	t.partial = t.partial[:0]
}

// lines returns the last lines, empty ones left out.
func (t *tail) lines() []string {
	t.keep()
	return t.kept
}
