package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of what a file may say.
const (
	maxLabelBytes = 40 // with a suffix of ours it stays a DNS label of 63
	maxNames      = 50 // services of a file, environments of a file
	maxReplicas   = 1000
	maxTextBytes  = 4 << 10
	maxListItems  = 100
	maxEnvBytes   = 32 << 10 // one value
)

// scalar returns the literal text of e's value, so that 1.10 stays "1.10"; ok
// is false after a mistake.
func (p *parser) scalar(e entry, want string) (n *yaml.Node, ok bool) {
	n = p.follow(e.value)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(e.value, "%s: want %s, got %s", e.key.Value, want, kind(n))
		return nil, false
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		p.fail(e.value, "%s: want %s, got the YAML tag %s", e.key.Value, want, quoted(n.Tag))
		return nil, false
	}
	if strings.ContainsRune(n.Value, 0) {
		p.fail(e.value, "%s: want %s, got a NUL character", e.key.Value, want)
		return nil, false
	}
	return n, true
}

// text returns a non-empty string.
func (p *parser) text(e entry) string {
	n, ok := p.scalar(e, "text")
	switch {
	case !ok:
		return ""
	case n.Tag != "!!str":
		p.fail(e.value, "%s: want text, got %s: put it in quotes", e.key.Value, n.Value)
	case n.Value == "":
		p.fail(e.value, "%s: want text, got nothing", e.key.Value)
	case len(n.Value) > maxTextBytes:
		p.fail(e.value, "%s: want at most %d bytes, got %d", e.key.Value, maxTextBytes, len(n.Value))
	default:
		return n.Value
	}
	return ""
}

// text is a value of any text.
func text() value[string] {
	return textIn("text", "", nil)
}

// textIn is a value of text that check takes as it returns it; pattern is what
// an editor can know of that.
func textIn(words, pattern string, check func(text string) (string, error)) value[string] {
	return value[string]{
		shape: shape{words: words, schema: func(*schema) object {
			o := object{"type": "string", "minLength": 1, "maxLength": maxTextBytes}
			if pattern != "" {
				o["pattern"] = pattern
			}
			return o
		}},
		parse: func(p *parser, e entry) string {
			text := p.text(e)
			if text == "" || check == nil {
				return text
			}
			checked, err := check(text)
			if err != nil {
				p.fail(e.value, "%s: %v", e.key.Value, err)
			}
			return checked
		},
	}
}

func labelSchema() object {
	return object{"type": "string", "pattern": labelPattern, "maxLength": maxLabelBytes}
}

// label is a value of a name that Kubernetes takes for everything made from it.
func label() value[string] {
	return value[string]{
		shape: shape{words: "name", schema: func(*schema) object { return labelSchema() }},
		parse: func(p *parser, e entry) string {
			text := p.text(e)
			if _, err := checkLabel(text); text != "" && err != nil {
				p.fail(e.value, "%s: %v", e.key.Value, err)
			}
			return text
		},
	}
}

// checkLabel refuses what is no DNS label (RFC 1035, so that a Service may have
// it).
func checkLabel(name string) (string, error) {
	if len(name) > maxLabelBytes {
		return "", fmt.Errorf("want at most %d characters, got %d", maxLabelBytes, len(name))
	}
	if !labelShape.MatchString(name) {
		return "", fmt.Errorf("want lower-case letters, digits and inner hyphens, a letter first, got %s", quoted(name))
	}
	return name, nil
}

// oneOf is a value of one of a few words.
func oneOf[V ~string](words ...V) value[V] {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return value[V]{
		shape: shape{words: joined(list, "or"), schema: func(*schema) object { return object{"enum": list} }},
		parse: func(p *parser, e entry) V {
			text := p.text(e)
			if text == "" || slices.Contains(list, text) {
				return V(text)
			}
			p.fail(e.value, "%s: want %s, got %s%s", e.key.Value, joined(list, "or"), quoted(text), didYouMean(text, list))
			return ""
		},
	}
}

// joined returns words as a sentence has them: "a, b or c".
func joined(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// whole is a value of a whole number within bounds.
func whole(least, most int) value[*int] {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	return value[*int]{
		shape: shape{words: want, schema: func(*schema) object {
			return object{"type": "integer", "minimum": least, "maximum": most}
		}},
		parse: func(p *parser, e entry) *int {
			n, ok := p.scalar(e, want)
			if !ok {
				return nil
			}
			v, err := strconv.Atoi(n.Value)
			if err != nil || n.Tag != "!!int" || v < least || v > most {
				p.fail(e.value, "%s: want %s, got %s", e.key.Value, want, quoted(n.Value))
				return nil
			}
			return &v
		},
	}
}

// boolean is a value of true or false.
func boolean() value[*bool] {
	return value[*bool]{
		shape: shape{words: "true or false", schema: func(*schema) object { return object{"type": "boolean"} }},
		parse: func(p *parser, e entry) *bool {
			n, ok := p.scalar(e, "true or false")
			if !ok {
				return nil
			}
			truth, said := truth(n)
			if !said {
				p.fail(e.value, "%s: want true or false, got %s", e.key.Value, quoted(n.Value))
				return nil
			}
			return &truth
		},
	}
}

// truth returns what a YAML boolean says; ok is false for anything else.
func truth(n *yaml.Node) (truth, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

// list is a value of several of v, all different. An empty one says that there
// are none, where a less special level says some.
func list(v value[string], words string) value[[]string] {
	return value[[]string]{
		shape: shape{words: words, schema: func(d *schema) object {
			return object{"type": "array", "items": v.schema(d), "maxItems": maxListItems, "uniqueItems": true}
		}},
		parse: func(p *parser, e entry) []string {
			n := p.follow(e.value)
			if n.Kind != yaml.SequenceNode {
				p.fail(e.value, "%s: want a list, got %s", e.key.Value, kind(n))
				return nil
			}
			all := []string{}
			for _, item := range p.items(e, n, 0) {
				one := v.parse(p, item)
				if one != "" && slices.Contains(all, one) {
					p.fail(item.value, "%s: %s is here twice", e.key.Value, quoted(one))
					continue
				}
				all = append(all, one)
			}
			return all
		},
	}
}

// items returns the elements of the list n that e's value is.
func (p *parser) items(e entry, n *yaml.Node, least int) []entry {
	if len(n.Content) < least || len(n.Content) > maxListItems {
		p.fail(e.value, "%s: want %d to %d items, got %d", e.key.Value, least, maxListItems, len(n.Content))
		return nil
	}
	items := make([]entry, len(n.Content))
	for i, value := range n.Content {
		at := e.path + "/" + strconv.Itoa(i)
		p.marks[at] = value
		items[i] = entry{key: e.key, value: value, path: at}
	}
	return items
}

// The shapes of values, compiled once; they never change.
var (
	labelShape = regexp.MustCompile(labelPattern)
	envShape   = regexp.MustCompile(envPattern)
	pathShape  = regexp.MustCompile(pathPattern)
)

const (
	labelPattern = `^[a-z]([a-z0-9-]*[a-z0-9])?$`
	envPattern   = `^[A-Za-z_][A-Za-z0-9_]*$`
	pathPattern  = `^/[!-~]*$`

	maxVariableBytes = 256 // the name of a variable
)

// variables is a value of environment variables or build arguments: text by
// names.
func variables() value[map[string]string] {
	return value[map[string]string]{
		shape: shape{words: "names and values", schema: func(*schema) object {
			return variablesSchema(object{"type": []string{"string", "number", "boolean"}})
		}},
		parse: func(p *parser, e entry) map[string]string {
			return p.variables(e, func(one entry) (string, bool) {
				n, ok := p.scalar(one, `a value ("" for an empty one)`)
				switch {
				case !ok:
					return "", false
				case len(n.Value) > maxEnvBytes:
					p.fail(one.value, "%s: want at most %d bytes, got %d", one.key.Value, maxEnvBytes, len(n.Value))
					return "", false
				}
				p.refuseCredential(one, n.Value)
				return n.Value, true
			})
		},
	}
}

func variablesSchema(value object) object {
	return object{
		"type": "object", "additionalProperties": value,
		"propertyNames": object{"pattern": envPattern, "maxLength": maxVariableBytes},
	}
}

// variables returns what read makes of the variables that e's value has.
func (p *parser) variables(e entry, read func(one entry) (string, bool)) map[string]string {
	entries, ok := p.mapping(e)
	if !ok {
		return nil
	}
	all := make(map[string]string, len(entries))
	for _, one := range entries {
		if _, err := checkVariable(one.key.Value); err != nil {
			p.fail(one.key, "%s: %v", e.key.Value, err)
			continue
		}
		if text, ok := read(one); ok {
			all[one.key.Value] = text
		}
	}
	return all
}

// variable is a value of the name of an environment variable.
func variable() value[string] { return textIn("name of a variable", envPattern, checkVariable) }

func checkVariable(name string) (string, error) {
	if !envShape.MatchString(name) || len(name) > maxVariableBytes {
		return "", fmt.Errorf("want a name of letters, digits and _, no digit first, got %s", quoted(name))
	}
	return name, nil
}

// refuseCredential records a mistake if value seems to be a secret; the message
// does not repeat it.
func (p *parser) refuseCredential(e entry, value string) {
	if what, found := p.looksLikeCredential(value); found {
		p.fail(e.value, "%s: holds what looks like %s: a secret never belongs in %s, which everyone with the repository can read; remove it and replace the secret, for it is known now",
			e.key.Value, what, p.file)
	}
}
