package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Resolve returns the app as it is meant in environment: overrides applied,
// defaults filled in, services sorted by name. Of two values for one
// environment variable the more special wins: the file's, then the service's,
// then the environment's, then the one of the service in the environment. The
// result shares no memory with f.
func (f *File) Resolve(environment string) (App, error) {
	environments := f.environments()
	e, ok := environments[environment]
	if !ok {
		known := slices.Sorted(maps.Keys(environments))
		return App{}, fmt.Errorf("unknown environment %q%s: the file has %s",
			environment, didYouMean(environment, known), strings.Join(known, ", "))
	}
	app := App{Name: f.App}
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		d := f.Services[name]
		s := Service{Name: name, Type: d.Type, Replicas: DefaultReplicas, CPU: DefaultCPU, Memory: DefaultMemory}
		if d.Type == Web {
			s.Port = DefaultPort
		}
		s.Env = merged(f.Env, d.Env, e.Env, e.Services[name].Env)
		d.apply(&s)
		e.Services[name].apply(&s)
		app.Services = append(app.Services, s)
	}
	return app, nil
}

// apply puts what s says into service; the environment variables are merged
// elsewhere, because all levels take part in that.
func (s Settings) apply(service *Service) {
	if s.Run != nil {
		service.Run = Command{Shell: s.Run.Shell, Exec: slices.Clone(s.Run.Exec)}
	}
	if s.Port != nil {
		service.Port = *s.Port
	}
	if s.Replicas != nil {
		service.Replicas = *s.Replicas
	}
	if s.CPU != "" {
		service.CPU = s.CPU
	}
	if s.Memory != "" {
		service.Memory = s.Memory
	}
	if s.Health.Path != "" {
		service.Health.Path = s.Health.Path
	}
	if s.Health.Timeout != "" {
		service.Health.Timeout = s.Health.Timeout
	}
}

// merged returns the union of levels, in which later ones win; nil if it is
// empty.
func merged(levels ...map[string]string) map[string]string {
	var all map[string]string
	for _, level := range levels {
		if len(level) == 0 {
			continue
		}
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, level)
	}
	return all
}
