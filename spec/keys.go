package spec

import "go.yaml.in/yaml/v3"

// key is one key of a level of inhaul.yaml: what it is called and how its value
// gets into a T.
type key[T any] struct {
	name     string
	required bool
	read     func(p *parser, e entry, into *T)
}

// fileKeys and its sisters are the whole vocabulary of inhaul.yaml, a table
// for every level. A new key is a new row.
func fileKeys() []key[File] {
	return []key[File]{
		required(to("app", (*parser).label, func(f *File) *string { return &f.App })),
		level("build", buildKeys(), func(f *File) *Build { return &f.Build }),
		to("env", (*parser).env, func(f *File) *map[string]string { return &f.Env }),
		required(each("services", "service", declarationKeys(), func(f *File) *map[string]Declaration { return &f.Services })),
		each("environments", "environment", environmentKeys(), func(f *File) *map[string]Environment { return &f.Environments }),
	}
}

func buildKeys() []key[Build] {
	return []key[Build]{
		to("context", (*parser).buildContext, func(b *Build) *string { return &b.Context }),
		to("dockerfile", (*parser).relativePath, func(b *Build) *string { return &b.Dockerfile }),
		to("args", (*parser).env, func(b *Build) *map[string]string { return &b.Args }),
		to("target", (*parser).text, func(b *Build) *string { return &b.Target }),
	}
}

func declarationKeys() []key[Declaration] {
	return append([]key[Declaration]{
		required(to("type", (*parser).serviceType, func(d *Declaration) *ServiceType { return &d.Type })),
	}, lift(settingsKeys(), func(d *Declaration) *Settings { return &d.Settings })...)
}

func settingsKeys() []key[Settings] {
	return []key[Settings]{
		to("run", (*parser).command, func(s *Settings) **Command { return &s.Run }),
		to("port", whole(1, 65535), func(s *Settings) **int { return &s.Port }),
		to("replicas", whole(0, maxReplicas), func(s *Settings) **int { return &s.Replicas }),
		to("cpu", quantity(parseCPU), func(s *Settings) *string { return &s.CPU }),
		to("memory", quantity(parseMemory), func(s *Settings) *string { return &s.Memory }),
		level("health", healthKeys(), func(s *Settings) *Health { return &s.Health }),
		to("env", (*parser).env, func(s *Settings) *map[string]string { return &s.Env }),
	}
}

func healthKeys() []key[Health] {
	return []key[Health]{
		to("path", (*parser).urlPath, func(h *Health) *string { return &h.Path }),
		to("timeout", (*parser).duration, func(h *Health) *string { return &h.Timeout }),
	}
}

func environmentKeys() []key[Environment] {
	return []key[Environment]{
		to("branch", (*parser).branches, func(e *Environment) *[]string { return &e.Branches }),
		to("env", (*parser).env, func(e *Environment) *map[string]string { return &e.Env }),
		each("services", "service", settingsKeys(), func(e *Environment) *map[string]Settings { return &e.Services }),
	}
}

// required returns k as a key that its level cannot do without.
func required[T any](k key[T]) key[T] {
	k.required = true
	return k
}

// to returns a key whose value parse understands and field keeps.
func to[T, V any](name string, parse func(*parser, entry) V, field func(*T) *V) key[T] {
	return key[T]{name: name, read: func(p *parser, e entry, into *T) { *field(into) = parse(p, e) }}
}

// level returns a key whose value is a level of its own.
func level[T, V any](name string, keys []key[V], field func(*T) *V) key[T] {
	return key[T]{name: name, read: func(p *parser, e entry, into *T) { readLevel(p, e, keys, field(into)) }}
}

// lift returns keys of a part as keys of the whole.
func lift[T, V any](keys []key[V], field func(*T) *V) []key[T] {
	lifted := make([]key[T], len(keys))
	for i, k := range keys {
		lifted[i] = key[T]{name: k.name, required: k.required, read: func(p *parser, e entry, into *T) { k.read(p, e, field(into)) }}
	}
	return lifted
}

// each returns a key whose value maps names that the user chose to levels.
// What is the singular of the key, for messages.
func each[T, V any](name, what string, keys []key[V], field func(*T) *map[string]V) key[T] {
	return key[T]{name: name, read: func(p *parser, e entry, into *T) {
		entries, ok := p.mapping(e)
		if ok && len(entries) == 0 {
			p.fail(e.key, "%s: want at least one %s", name, what)
		}
		if len(entries) > maxNames {
			p.fail(e.key, "%s: want at most %d, got %d", name, maxNames, len(entries))
			return
		}
		all := make(map[string]V, len(entries))
		for _, one := range entries {
			if problem := labelProblem(one.key.Value); problem != "" {
				p.fail(one.key, "%s name: %s", what, problem)
			}
			var v V
			titled := one
			titled.key = &yaml.Node{Value: what + " " + quoted(one.key.Value), Line: one.key.Line, Column: one.key.Column}
			readLevel(p, titled, keys, &v)
			all[one.key.Value] = v
		}
		*field(into) = all
	}}
}

// readLevel reads the mapping of e by its table.
func readLevel[T any](p *parser, e entry, keys []key[T], into *T) {
	entries, ok := p.mapping(e)
	if !ok {
		return
	}
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
