package spec

import "go.yaml.in/yaml/v3"

// key is one key of a level of inhaul.yaml: what is told of it, and how its
// value gets into a T.
type key[T any] struct {
	row
	read func(p *parser, e entry, into *T)
}

// row is what people and editors are told of a key.
type row struct {
	name     string
	required bool
	doc      string
	fallback string // what counts when it is not said, in words or as the file would say it
	example  string // of one line or more, with the neighbours it needs
	types    []ServiceType
	shape
}

// level is a mapping whose keys inhaul.yaml knows: a table, and a new key is a
// new row. It has a name in the schema and in the documentation.
type level[T any] struct {
	name string
	doc  string
	keys []key[T]
}

// value reads what a key may have as its value, and describes it.
type value[V any] struct {
	shape
	parse func(p *parser, e entry) V
}

// shape describes a value.
type shape struct {
	words  string               // "a whole number from 1 to 65535"
	schema func(*schema) object // JSON Schema
	levels []section            // that it leads to
}

// section is a level without the type that it fills.
type section struct {
	name string
	doc  string
	rows []row
}

func (l level[T]) section() section {
	s := section{name: l.name, doc: l.doc, rows: make([]row, len(l.keys))}
	for i, k := range l.keys {
		s.rows[i] = k.row
	}
	return s
}

// says returns k with what is told of it.
func (k key[T]) says(doc, fallback, example string) key[T] {
	k.doc, k.fallback, k.example = doc, fallback, example
	return k
}

// of returns k as a key that only services of these types have.
func (k key[T]) of(types ...ServiceType) key[T] {
	k.types = types
	return k
}

// needed returns k as a key that its level cannot do without.
func (k key[T]) needed() key[T] {
	k.required = true
	return k
}

// to returns a key whose value v reads and field keeps.
func to[T, V any](name string, v value[V], field func(*T) *V) key[T] {
	return key[T]{
		row:  row{name: name, shape: v.shape},
		read: func(p *parser, e entry, into *T) { *field(into) = v.parse(p, e) },
	}
}

// part returns a key whose value is a level of its own.
func part[T, V any](name string, l level[V], field func(*T) *V) key[T] {
	s := l.section()
	return key[T]{
		row: row{name: name, shape: shape{
			words: "keys", levels: []section{s},
			schema: func(d *schema) object { return d.ref(s) },
		}},
		read: func(p *parser, e entry, into *T) { readLevel(p, e, l.keys, field(into)) },
	}
}

// lift returns keys of a part as keys of the whole.
func lift[T, V any](keys []key[V], field func(*T) *V) []key[T] {
	lifted := make([]key[T], len(keys))
	for i, k := range keys {
		lifted[i] = key[T]{row: k.row, read: func(p *parser, e entry, into *T) { k.read(p, e, field(into)) }}
	}
	return lifted
}

// each returns a key whose value maps names that the user chose to levels.
// What is the singular of the key, for messages.
func each[T, V any](name, what string, l level[V], field func(*T) *map[string]V) key[T] {
	s := l.section()
	return key[T]{
		row: row{name: name, shape: shape{
			words: what + " names with keys", levels: []section{s},
			schema: func(d *schema) object {
				return object{
					"type": "object", "minProperties": 1, "maxProperties": maxNames,
					"propertyNames": labelSchema(), "additionalProperties": d.ref(s),
				}
			},
		}},
		read: func(p *parser, e entry, into *T) { *field(into) = readNamed(p, e, what, l.keys) },
	}
}

// readNamed reads the levels that e's value has by name.
func readNamed[V any](p *parser, e entry, what string, keys []key[V]) map[string]V {
	entries, ok := p.mapping(e)
	if ok && len(entries) == 0 {
		p.fail(e.key, "%s: want at least one %s", e.key.Value, what)
	}
	if len(entries) > maxNames {
		p.fail(e.key, "%s: want at most %d, got %d", e.key.Value, maxNames, len(entries))
		return nil
	}
	all := make(map[string]V, len(entries))
	for _, one := range entries {
		if _, err := checkLabel(one.key.Value); err != nil {
			p.fail(one.key, "%s name: %v", what, err)
		}
		var v V
		titled := one
		titled.key = &yaml.Node{Value: what + " " + quoted(one.key.Value), Line: one.key.Line, Column: one.key.Column}
		readLevel(p, titled, keys, &v)
		all[one.key.Value] = v
	}
	return all
}

// readLevel reads the mapping of e by its table; ok is false if it is none.
func readLevel[T any](p *parser, e entry, keys []key[T], into *T) (ok bool) {
	entries, ok := p.mapping(e)
	if ok {
		readEntries(p, e, entries, keys, into)
	}
	return ok
}

// readEntries reads the entries of e's value by the table of their level.
func readEntries[T any](p *parser, e entry, entries []entry, keys []key[T], into *T) {
	names := make([]string, len(keys))
	byName := make(map[string]key[T], len(keys))
	for i, k := range keys {
		names[i], byName[k.name] = k.name, k
	}
	present := make(map[string]bool, len(entries))
	for _, one := range entries {
		k, known := byName[one.key.Value]
		if !known {
			p.fail(one.key, "unknown key %s%s", quoted(one.key.Value), didYouMean(one.key.Value, names))
			continue
		}
		present[k.name] = true
		k.read(p, one, into)
	}
	for _, k := range keys {
		if k.required && !present[k.name] {
			p.fail(e.key, "%skey %q is missing", e.about(), k.name)
		}
	}
}
