package convert

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML returns the root of a YAML text with one document, aliases and merge
// keys followed.
func (m *manifest) readYAML(text string) *node {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		m.fail(place{m.file, 1, 1}, "the file is empty")
		return nil
	case err != nil:
		m.failYAML(text, err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		m.fail(place{m.file, second.Line, second.Column}, "want one YAML document, got another one after ---")
		return nil
	case !errors.Is(err, io.EOF):
		m.failYAML(text, err)
		return nil
	}
	root := document.Content[0]
	return m.yamlValue(root, node{place: m.placeOf(root)}, map[*yaml.Node]bool{})
}

// failYAML records what the YAML library says; it gives a line at most.
func (m *manifest) failYAML(text string, err error) {
	message, number := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(message); found != nil {
		number, _ = strconv.Atoi(found[1]) // digits only, and too many give the largest number
		message = message[len(found[0]):]
	}
	lines := strings.Split(text, "\n")
	number = min(max(number, 1), len(lines))
	line := lines[number-1]
	m.fail(place{m.file, number, len(line) - len(strings.TrimLeft(line, " ")) + 1}, "the YAML is broken: %s", message)
}

func (m *manifest) placeOf(n *yaml.Node) place {
	return place{m.file, max(n.Line, 1), max(n.Column, 1)}
}

// yamlValue makes n what value says. Open has the aliases that are being
// followed, so that one that stands for itself is seen.
func (m *manifest) yamlValue(value *yaml.Node, n node, open map[*yaml.Node]bool) *node {
	n.repeated = value.Anchor != ""
	if value.Kind == yaml.AliasNode {
		value = value.Alias
		if open[value] {
			m.fail(n.place, "the alias stands for itself")
			return m.add(n)
		}
		open[value] = true
		defer delete(open, value)
	}
	n.tag = value.ShortTag()
	switch value.Kind { //nolint:exhaustive // because aliases are followed above, and the rest is a scalar
	case yaml.MappingNode:
		n.kind = mapping
		m.yamlEntries(value, &n, open, 0)
	case yaml.SequenceNode:
		n.kind = list
		for i, item := range value.Content {
			if m.nodes > maxNodes {
				break
			}
			n.put(m.yamlValue(item, node{place: m.placeOf(item), path: index(n.path, i)}, open))
		}
	default:
		n.text = value.Value
		if n.tag == "!!null" {
			n.kind, n.text = nothing, ""
		}
	}
	return m.add(n)
}

const maxMergeDepth = 8 // "<<" inside what "<<" names

// yamlEntries puts the entries of value into n; what "<<" brings gives way to
// what is there.
func (m *manifest) yamlEntries(value *yaml.Node, n *node, open map[*yaml.Node]bool, depth int) {
	own := map[string]*yaml.Node{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(value.Content) && m.nodes <= maxNodes; i += 2 {
		key := value.Content[i]
		if key.Tag == "!!merge" {
			merges = append(merges, value.Content[i+1])
			continue
		}
		if key.Kind != yaml.ScalarNode {
			m.fail(m.placeOf(key), "want a name as key")
			continue
		}
		if first := own[key.Value]; first != nil {
			m.fail(m.placeOf(key), "key %q is here twice, first in line %d", key.Value, first.Line)
			continue
		}
		own[key.Value] = key
		if depth > 0 && n.at(key.Value) != nil {
			m.count(m.placeOf(key)) // though it adds nothing, it costs time
			continue
		}
		n.put(m.yamlValue(value.Content[i+1], node{name: key.Value, path: join(n.path, key.Value), place: m.placeOf(key)}, open))
	}
	for _, merge := range merges {
		sources := []*yaml.Node{merge}
		if merge.Kind == yaml.SequenceNode {
			sources = merge.Content
		}
		for _, source := range sources {
			at := m.placeOf(source)
			if source.Kind == yaml.AliasNode {
				source = source.Alias
			}
			if source.Kind != yaml.MappingNode || depth >= maxMergeDepth {
				m.fail(at, "<<: want an alias of keys and values, at most %d deep", maxMergeDepth)
				continue
			}
			m.yamlEntries(source, n, open, depth+1)
		}
	}
}
