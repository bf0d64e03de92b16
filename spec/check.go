package spec

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check records the mistakes that only several values together make, and fills
// in the defaults of the build.
func (p *parser) check(f *File) {
	if f.Build.Context == "" {
		f.Build.Context = "."
	}
	if f.Build.Dockerfile == "" {
		f.Build.Dockerfile = "Dockerfile"
	}
	services := slices.Sorted(maps.Keys(f.Services))
	for _, name := range services {
		d := f.Services[name]
		p.checkSettings("services/"+name, d.Type, d.Settings)
	}
	serves := slices.ContainsFunc(services, func(name string) bool { return f.Services[name].Type == Web })
	if serves {
		p.refusePort("env", f.Env)
	}
	preview := regexp.MustCompile(`^pr-[0-9]+$`)
	for _, name := range slices.Sorted(maps.Keys(f.Environments)) {
		at := "environments/" + name
		if preview.MatchString(name) {
			p.failMark(at, "environment %q: names like it belong to previews of pull requests", name)
		}
		if serves {
			p.refusePort(at+"/env", f.Environments[name].Env)
		}
		for _, service := range slices.Sorted(maps.Keys(f.Environments[name].Services)) {
			d, declared := f.Services[service]
			if !declared {
				p.failMark(at+"/services/"+service, "unknown service %s%s: an environment only overrides what services declares",
					quoted(service), didYouMean(service, services))
				continue
			}
			p.checkSettings(at+"/services/"+service, d.Type, f.Environments[name].Services[service])
		}
	}
	p.checkBranches(f)
}

// checkSettings records what a service of type t cannot say.
func (p *parser) checkSettings(at string, t ServiceType, s Settings) {
	switch t {
	case Web:
		p.refusePort(at+"/env", s.Env)
	case Worker:
		if s.Port != nil {
			p.failMark(at+"/port", "port: a worker serves nothing; type: web has a port")
		}
		if s.Health.Path != "" {
			p.failMark(at+"/health/path", "path: a worker serves nothing; type: web has a health path")
		}
	}
}

// refusePort records PORT among the variables at a path: the value that counts
// is the port of the service.
func (p *parser) refusePort(at string, env map[string]string) {
	if _, said := env["PORT"]; said {
		p.failMark(at+"/PORT", "PORT is set by Inhaul to the port of the web service: say port: instead")
	}
}

// checkBranches records branches that would mean two environments.
func (p *parser) checkBranches(f *File) {
	type place struct{ environment, path string }
	first := make(map[string]place)
	var all []place
	branches := make(map[place]string)
	for name, e := range f.Environments {
		for i, branch := range e.Branches {
			at := place{name, "environments/" + name + "/branch/" + strconv.Itoa(i)}
			all = append(all, at)
			branches[at] = branch
		}
	}
	// In the order of the file, so that the second one is the mistake.
	slices.SortFunc(all, func(a, b place) int {
		na, nb := p.marks[a.path], p.marks[b.path]
		if na.Line != nb.Line {
			return na.Line - nb.Line
		}
		if na.Column != nb.Column {
			return na.Column - nb.Column
		}
		return strings.Compare(a.path, b.path) // one list under two names, by an alias
	})
	for _, at := range all {
		branch := branches[at]
		if branch == "" {
			continue // reported already
		}
		if other, taken := first[branch]; taken {
			p.failMark(at.path, "branch %s means environment %q already", quoted(branch), other.environment)
			continue
		}
		first[branch] = at
	}
}

// failMark records a mistake at the key with that path.
func (p *parser) failMark(path, format string, args ...any) {
	if n := p.marks[path]; n != nil {
		p.fail(n, format, args...)
	}
}
