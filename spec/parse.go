package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFileBytes is the largest inhaul.yaml that Parse reads.
const MaxFileBytes = 256 << 10

const (
	maxVisits     = 50_000 // YAML nodes read, each as often as aliases repeat it
	maxMergeDepth = 8      // "<<" inside what "<<" names
)

// parser collects the mistakes of one file.
type parser struct {
	file        string
	errs        Errors
	credentials []credential
	marks       map[string]*yaml.Node // path to key, for checks that need several values
	typed       []row                 // see typedKeys
	visits      int
	stopped     bool // too much to read; what follows is unreliable
}

func newParser(name string) *parser {
	return &parser{file: name, credentials: credentials(), marks: map[string]*yaml.Node{}}
}

// fail records a mistake at n.
func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.failAt(n.Line, n.Column, format, args...)
}

func (p *parser) failAt(line, column int, format string, args ...any) {
	if len(p.errs) < maxErrors && !p.stopped {
		p.errs = append(p.errs, Error{File: p.file, Line: max(line, 1), Column: max(column, 1), Message: fmt.Sprintf(format, args...)})
	}
}

// load returns the root of the only document in data, or nil after recording
// why there is none.
func (p *parser) load(data []byte) *entry {
	if len(data) > MaxFileBytes {
		p.failAt(1, 1, "the file has %d bytes, want at most %d", len(data), MaxFileBytes)
		return nil
	}
	if line, column, found := badText(data); found {
		p.failAt(line, column, "want UTF-8 text without control characters")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		p.failAt(1, 1, `the file is empty: want at least "app" and "services"`)
		return nil
	case err != nil:
		p.syntaxError(data, err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		p.fail(&second, "want one YAML document, got another one after ---")
		return nil
	case !errors.Is(err, io.EOF):
		p.syntaxError(data, err)
		return nil
	}
	return &entry{key: &yaml.Node{Line: 1, Column: 1}, value: document.Content[0]}
}

// badText returns the position of the first byte that no YAML text may hold.
func badText(data []byte) (line, column int, found bool) {
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == utf8.RuneError && size <= 1, r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line, column, true
		}
		data = data[size:]
		column++
	}
	return 0, 0, false
}

// syntaxError records what the YAML library says. The library gives a line at
// most, and none for the first; the column is found again here.
func (p *parser) syntaxError(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	number := 1
	// "line 3: did not find expected key"
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(message); m != nil {
		number, _ = strconv.Atoi(m[1]) // digits only, and too many give the largest number
		message = message[len(m[0]):]
	}
	lines := strings.Split(string(data), "\n")
	if strings.Contains(message, "cannot start any token") {
		for i, line := range lines {
			if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
				p.failAt(i+1, strings.Index(indent, "\t")+1, "YAML is indented with spaces, got a tab")
				return
			}
		}
	}
	number = min(number, len(lines))
	line := lines[number-1]
	p.failAt(number, len(line)-len(strings.TrimLeft(line, " "))+1, "the YAML is broken: %s", message)
}

// entry is one key and its value. Path is the way from the root to it, joined
// by "/", as marks know it.
type entry struct {
	key   *yaml.Node
	value *yaml.Node
	path  string
}

// about starts a message about the entry; the root has no name.
func (e entry) about() string {
	if e.key.Value == "" {
		return ""
	}
	return e.key.Value + ": "
}

// follow returns the node that n stands for. It counts, because aliases of
// aliases can make a small file stand for a huge one.
func (p *parser) follow(n *yaml.Node) *yaml.Node {
	if p.visits++; p.visits > maxVisits && !p.stopped {
		p.fail(n, "the file stands for more than %d values: use fewer YAML aliases", maxVisits)
		p.stopped = true
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping returns the entries of e's value, merge keys ("<<") resolved; ok is
// false if it is not a mapping.
func (p *parser) mapping(e entry) (entries []entry, ok bool) {
	n := p.follow(e.value)
	if n.Kind != yaml.MappingNode {
		p.fail(e.value, "%swant keys and values, got %s", e.about(), kind(n))
		return nil, false
	}
	seen := make(map[string]*yaml.Node)
	p.collect(n, e.path, seen, &entries, 0)
	return entries, true
}

// collect appends the entries of the mapping n that are not in seen. Entries
// that "<<" brings give way to those beside it, as YAML 1.1 has it.
func (p *parser) collect(n *yaml.Node, path string, seen map[string]*yaml.Node, entries *[]entry, depth int) {
	var merges []*yaml.Node
	own := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content) && !p.stopped; i += 2 {
		key, value := p.follow(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			p.fail(n.Content[i], "want a name as key, got %s", kind(key))
			continue
		}
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if first, twice := own[key.Value]; twice {
			p.fail(n.Content[i], "key %s is here twice, first in line %d", quoted(key.Value), first.Line)
			continue
		}
		own[key.Value] = key
		if _, overridden := seen[key.Value]; overridden {
			continue
		}
		seen[key.Value] = key
		at := below(path, key.Value)
		p.marks[at] = n.Content[i]
		*entries = append(*entries, entry{key: key, value: value, path: at})
	}
	for _, value := range merges {
		p.merge(value, path, seen, entries, depth+1)
	}
}

// merge collects what the value of a "<<" names: a mapping or a list of them.
func (p *parser) merge(value *yaml.Node, path string, seen map[string]*yaml.Node, entries *[]entry, depth int) {
	if depth > maxMergeDepth {
		p.fail(value, "<<: merges are nested more than %d deep", maxMergeDepth)
		return
	}
	n := p.follow(value)
	sources := []*yaml.Node{value}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	for _, source := range sources {
		m := p.follow(source)
		if p.stopped {
			return
		}
		if m.Kind != yaml.MappingNode {
			p.fail(source, "<<: want an alias of keys and values, got %s", kind(m))
			continue
		}
		p.collect(m, path, seen, entries, depth)
	}
}

// kind names what n is, in a reader's words.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return quoted(n.Value)
}

// quoted returns text in quotes, shortened to what fits into a message.
func quoted(text string) string {
	const most = 60 // characters
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return strconv.Quote(text)
}

// below returns the path of what stands below another one.
func below(path string, names ...string) string {
	for _, name := range names {
		if path != "" {
			path += "/"
		}
		path += name
	}
	return path
}
