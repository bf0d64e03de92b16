package spec

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// previewShape is that of the names that belong to previews of pull requests.
var previewShape = regexp.MustCompile(`^pr-[0-9]+$`)

// check records the mistakes that only several values together make, and fills
// in the defaults of the build. At is the path of the app.
func (p *parser) check(at string, f *File) {
	p.checkBuild(at, &f.Build)
	p.checkSecrets(at, f.Env, f.Secrets)
	p.checkTask(at, "predeploy", f.Predeploy)
	p.checkTask(at, "seed", f.Seed)
	p.checkTask(at, "teardown", f.Teardown)
	p.checkDatabases(at, f)
	serves := slices.ContainsFunc(slices.Collect(maps.Values(f.Services)), func(d Declaration) bool { return d.Type == Web })
	if serves {
		p.refusePort(at)
	}
	for _, name := range sortedKeys(f.Services) {
		d := f.Services[name]
		path := below(at, "services", name)
		p.checkSettings(path, d.Type, d.Settings)
		p.checkProblems(d.problems(d.Type), path)
	}
	for _, name := range sortedKeys(f.Environments) {
		path := below(at, "environments", name)
		if previewShape.MatchString(name) {
			p.failMark(path, "environment %q: names like it belong to previews of pull requests; what they all say differently goes below %s", name, previewEnvironment)
		}
		if serves {
			p.refusePort(path)
		}
		p.checkEnvironment(path, f, f.Environments[name])
		if e := f.Environments[name]; name == previewEnvironment && len(e.Branches) == 0 {
			for service, over := range e.Services {
				if len(over.Domains) > 0 {
					p.failMark(below(path, "services", service, "domains"), "domains: every preview would have the same; each gets a name of its own")
				}
			}
		}
	}
	environments := f.environments()
	for _, name := range sortedKeys(environments) {
		p.checkTogether(at, name, f, environments[name])
	}
	p.checkBranches(at, f)
}

// checkEnvironment records what the environment e cannot say at its path.
func (p *parser) checkEnvironment(at string, f *File, e Environment) {
	p.checkSecrets(at, e.Env, e.Secrets)
	if f.Predeploy == nil {
		p.checkTask(at, "predeploy", e.Predeploy)
	}
	services := sortedKeys(f.Services)
	for _, name := range sortedKeys(e.Services) {
		path := below(at, "services", name)
		d, declared := f.Services[name]
		if !declared {
			p.failMark(path, "unknown service %s%s: an environment only overrides what services declares",
				quoted(name), didYouMean(name, services))
			continue
		}
		p.checkSettings(path, d.Type, e.Services[name].Settings)
		known := d.problems(d.Type)
		p.checkProblems(slices.DeleteFunc(d.with(e.Services[name].Settings).problems(d.Type), func(one problem) bool {
			return slices.ContainsFunc(known, func(k problem) bool { return k.text == one.text })
		}), path)
	}
}

// checkProblems records the problems of a service that is said at the path.
func (p *parser) checkProblems(all []problem, at string) {
	for _, one := range all {
		if one.lacks != "" && p.marks[below(at, one.lacks)] != nil {
			continue
		}
		var paths []string
		for _, k := range one.keys {
			paths = append(paths, below(at, k))
		}
		p.failFirst(one.text, append(paths, at)...)
	}
}

// checkTogether records what services cannot be together in the environment e,
// after all levels.
func (p *parser) checkTogether(at, name string, f *File, e Environment) {
	var services []Service
	for _, service := range p.inOrder(below(at, "services"), sortedKeys(f.Services)) {
		if !e.has(service) {
			continue
		}
		d, over := f.Services[service], e.Services[service]
		settings := d.with(over.Settings)
		one := settings.service(service, d.Type)
		one.Paths = settings.Paths // as they were said
		services = append(services, one)
		from := one.Scale.Queue.From
		levels := []map[string]string{f.Env, f.Secrets, d.Env, d.Secrets, e.Env, e.Secrets, over.Env, over.Secrets}
		if name == previewEnvironment {
			_, variables := f.databases()
			levels = append(levels, set(variables))
		}
		if from != "" && !slices.ContainsFunc(levels, func(l map[string]string) bool { _, has := l[from]; return has }) {
			p.failFirst(fmt.Sprintf("from: service %q has no variable %s in environment %s", service, from, name),
				below(at, "environments", name, "services", service, "scale", "queue", "from"),
				below(at, "services", service, "scale", "queue", "from"))
		}
	}
	if len(services) == 0 {
		p.failMark(below(at, "environments", name, "services"), "services: environment %q has none: want at least one that is enabled", name)
	}
	p.checkRoutes(at, name, services)
}

func set(names []string) map[string]string {
	all := make(map[string]string, len(names))
	for _, name := range names {
		all[name] = ""
	}
	return all
}

// has reports whether the environment has the service.
func (e Environment) has(service string) bool {
	enabled := e.Services[service].Enabled
	return enabled == nil || *enabled
}

// checkSettings records what one level of a service of type t cannot say.
func (p *parser) checkSettings(at string, t ServiceType, s Settings) {
	p.checkSecrets(at, s.Env, s.Secrets)
	if t == "" {
		return // reported already
	}
	for _, k := range p.typedKeys() {
		if !slices.Contains(k.types, t) {
			p.failMark(below(at, k.name), "%s: not for type %s, only for %s", k.name, t, typeNames(k.types))
		}
	}
	if t == Web {
		p.refusePort(at)
	}
	if t != Job {
		p.checkHealth(below(at, "health"), t)
	}
}

// typedKeys returns the keys that not every type of service has.
func (p *parser) typedKeys() []row {
	if p.typed == nil {
		for _, k := range settingsKeys(true) {
			if len(k.types) > 0 {
				p.typed = append(p.typed, k.row)
			}
		}
	}
	return p.typed
}

func typeNames(types []ServiceType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return joined(names, "and")
}

// refusePort records PORT among the variables of a level: the value that counts
// is the port of the service.
func (p *parser) refusePort(at string) {
	for _, kind := range []string{"env", "secrets"} {
		p.failMark(below(at, kind, "PORT"), "PORT is set by Inhaul to the port of the web service: say port: instead")
	}
}

// failMark records a mistake at the key with that path, if it is there.
func (p *parser) failMark(path, format string, args ...any) {
	if n := p.marks[path]; n != nil {
		p.fail(n, format, args...)
	}
}

// failFirst records a mistake at the first of the paths that is there.
func (p *parser) failFirst(text string, paths ...string) {
	for _, path := range paths {
		if n := p.marks[path]; n != nil {
			p.fail(n, "%s", text)
			return
		}
	}
}

// inOrder returns names as they stand in the file below the path.
func (p *parser) inOrder(at string, names []string) []string {
	return slices.SortedStableFunc(slices.Values(names), func(a, b string) int {
		return compare(p.marks[below(at, a)], p.marks[below(at, b)])
	})
}

// compare orders nodes by where they stand in the file; nil comes first.
func compare(a, b *yaml.Node) int {
	if a == nil || b == nil {
		a, b = cmp.Or(a, &yaml.Node{}), cmp.Or(b, &yaml.Node{})
	}
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
