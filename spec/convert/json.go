package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// readJSON returns the root of a JSON text.
func (m *manifest) readJSON(data []byte) *node {
	var whole any
	if err := json.Unmarshal(data, &whole); err != nil {
		offset := len(data)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(syntax.Offset) - 1
		}
		line, column := position(data, offset)
		m.fail(place{m.file, line, column}, "the JSON is broken: %v: no comments and no comma before a closing bracket", err)
		return nil
	}
	r := jsonReader{m: m, data: data, decoder: json.NewDecoder(bytes.NewReader(data)), place: place{m.file, 1, 1}}
	r.decoder.UseNumber() // 1.10 stays 1.10
	return r.value(node{})
}

// jsonReader reads well-formed JSON, and knows where each token stands.
type jsonReader struct {
	m       *manifest
	data    []byte
	decoder *json.Decoder
	offset  int // of the last token
	place
}

// value reads one value. It has its own place unless a key gave it one.
func (r *jsonReader) value(n node) *node {
	token := r.token()
	if n.line == 0 {
		n.place = r.place
	}
	switch token := token.(type) {
	case json.Delim:
		n.kind = list
		if token == '{' {
			n.kind = mapping
		}
		for r.decoder.More() {
			child := node{path: index(n.path, len(n.children))}
			if n.kind == mapping {
				child.name, _ = r.token().(string) // the grammar has nothing else there
				child.place, child.path = r.place, join(n.path, child.name)
			}
			n.put(r.value(child))
		}
		r.token()
	case string:
		n.text = token
	case json.Number:
		n.text = token.String()
	case bool:
		n.text = strconv.FormatBool(token)
	case nil:
		n.kind = nothing
	}
	return r.m.add(n)
}

// token reads the next token and moves to its place.
func (r *jsonReader) token() json.Token {
	start := int(r.decoder.InputOffset())
	for start < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[start]) >= 0 {
		start++
	}
	line, column := position(r.data[r.offset:], start-r.offset)
	if line > 1 {
		r.column = 1
	}
	r.offset, r.line, r.column = start, r.line+line-1, r.column+column-1
	token, _ := r.decoder.Token() // well-formed
	return token
}
