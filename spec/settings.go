package spec

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Declaration is a service as inhaul.yaml declares it, before an environment
// overrides any of it.
type Declaration struct {
	Type ServiceType
	Settings
}

// Override is what an environment says differently of a service.
type Override struct {
	Enabled *bool // false: the environment leaves the service out
	Settings
}

// Settings is what a service says, and what an environment may say differently.
// Nil and the empty string mean: not said; a list that is empty but not nil says
// that there is none.
type Settings struct {
	Run       *Command
	Port      *int
	Replicas  *int
	CPU       string
	Memory    string
	Size      string
	Health    Health
	Scale     *ScaleSettings
	Grace     string
	Domains   []string
	Public    *bool
	Paths     []string
	Volumes   map[string]Volume // by name, which the values do not repeat
	AllowFrom []string
	Env       map[string]string
	Secrets   map[string]string
	Job       JobSettings
}

// The bounds of the time from SIGTERM to SIGKILL.
const (
	maxGrace = 2 * time.Hour
)

func declarationLevel() level[Declaration] {
	return level[Declaration]{"service", "One process of the app. Three lines make a production-ready one: its name, its `type` and what it has to `run`.", append([]key[Declaration]{
		to("type", oneOf(ServiceTypes()...), func(d *Declaration) *ServiceType { return &d.Type }).needed().
			says("`web` serves HTTP, a `worker` runs and serves nothing, a `job` runs to its end, on a schedule or when somebody asks.", "", "type: worker"),
	}, lift(settingsKeys(false), func(d *Declaration) *Settings { return &d.Settings })...)}
}

func overrideLevel() level[Override] {
	return level[Override]{"override", "What an environment says differently of a service: any of its keys but `type`. `env`, `secrets`, `volumes`, `health` and `scale` are merged key by key; a list takes the place of a list, and an empty one says that there is none.", append([]key[Override]{
		to("enabled", boolean(), func(o *Override) **bool { return &o.Enabled }).
			says("Whether this environment has the service.", "true", "enabled: false"),
	}, lift(settingsKeys(true), func(o *Override) *Settings { return &o.Settings })...)}
}

// settingsKeys returns what a service says; override is for what an environment
// may say alone.
func settingsKeys(override bool) []key[Settings] {
	keys := []key[Settings]{
		to("run", command(), func(s *Settings) **Command { return &s.Run }).
			says("What is run. Text goes through a shell, which execs it, so that signals arrive; a list is run as it stands.", "the image's own command", "run: bin/start --verbose"),
		to("port", whole(1, 65535), func(s *Settings) **int { return &s.Port }).of(Web).
			says("Port that it listens on; it gets it as `PORT`.", fmt.Sprint(DefaultPort), "port: 3000"),
		to("replicas", whole(0, maxReplicas), func(s *Settings) **int { return &s.Replicas }).of(Web, Worker).
			says("How many pods there are. Not with `scale`.", fmt.Sprint(DefaultReplicas), "replicas: 2"),
		to("cpu", cpu(), func(s *Settings) *string { return &s.CPU }).
			says("CPU that is kept for a pod.", DefaultCPU, "cpu: 0.5"),
		to("memory", memory(), func(s *Settings) *string { return &s.Memory }).
			says("Memory that is kept for a pod; it cannot have more.", DefaultMemory, "memory: 512Mi"),
		to("size", size(), func(s *Settings) *string { return &s.Size }).
			says("CPU and memory of a Heroku dyno; `cpu` or `memory` beside it wins.", "", "size: standard-1x"),
		part("health", healthLevel(), func(s *Settings) *Health { return &s.Health }).of(Web, Worker).
			says("When a new pod is ready, and a running one broken.", "", "health: {path: /healthz}"),
		to("scale", scale(override), func(s *Settings) **ScaleSettings { return &s.Scale }).of(Web, Worker).
			says("How many pods there are, by the load. Not with `replicas`.", "", "scale: {min: 2, max: 10}"),
		to("grace", durationUpTo(maxGrace), func(s *Settings) *string { return &s.Grace }).of(Web, Worker).
			says("Time from SIGTERM to SIGKILL.", shortDuration(DefaultGrace), "grace: 60s"),
	}
	keys = append(keys, routeKeys()...)
	keys = append(keys,
		each("volumes", "volume", volumeLevel(), func(s *Settings) *map[string]Volume { return &s.Volumes }).
			says("Folders that outlive a container.", "", "volumes: {cache: {path: /cache, size: 1Gi}}"),
		to("env", variables(), func(s *Settings) *map[string]string { return &s.Env }).
			says("Environment variables. A value that looks like a secret is refused.", "", "env: {LOG_LEVEL: info}"),
		to("secrets", secrets(), func(s *Settings) *map[string]string { return &s.Secrets }).
			says("Environment variables by references to where their values are kept.", "", `secrets: {API_KEY: "k8s://shop#API_KEY"}`),
	)
	return append(keys, lift(jobKeys(), func(s *Settings) *JobSettings { return &s.Job })...)
}

// with returns s with what over says differently; the variables are left alone,
// because levels outside the service take part in those.
func (s Settings) with(over Settings) Settings {
	if over.Size != "" {
		s.Size, s.CPU, s.Memory = over.Size, "", ""
	}
	if over.Scale.on() {
		s.Replicas = nil
	}
	if over.Public != nil && !*over.Public {
		s.Domains, s.Paths = nil, nil
	}
	s.Run = said(s.Run, over.Run)
	s.Port = said(s.Port, over.Port)
	s.Replicas = said(s.Replicas, over.Replicas)
	s.CPU = said(s.CPU, over.CPU)
	s.Memory = said(s.Memory, over.Memory)
	s.Health = healthWith(s.Health, over.Health)
	if s.Scale != nil && over.Scale != nil {
		scale := s.Scale.with(*over.Scale)
		s.Scale = &scale
	} else {
		s.Scale = said(s.Scale, over.Scale)
	}
	s.Grace = said(s.Grace, over.Grace)
	s.Domains = saidList(s.Domains, over.Domains)
	s.Public = said(s.Public, over.Public)
	s.Paths = saidList(s.Paths, over.Paths)
	s.AllowFrom = saidList(s.AllowFrom, over.AllowFrom)
	s.Volumes = maps.Clone(s.Volumes)
	for name, v := range over.Volumes {
		if s.Volumes == nil {
			s.Volumes = make(map[string]Volume)
		}
		s.Volumes[name] = s.Volumes[name].with(v)
	}
	s.Job = s.Job.with(over.Job)
	return s
}

func saidList(less, over []string) []string {
	if over != nil {
		return over
	}
	return less
}

// service returns the service that the settings describe, defaults filled in,
// and written in the one way that its meaning has.
func (s Settings) service(name string, t ServiceType) Service {
	cpu, memory := resources(s.Size, s.CPU, s.Memory)
	one := Service{
		Name: name, Type: t, CPU: cpu, Memory: memory,
		Health: s.Health.clone(), Scale: s.Scale.scale(), Grace: unlessDefault(s.Grace, DefaultGrace),
		Domains: slices.Clone(s.Domains), Private: s.Public != nil && !*s.Public, Paths: sortedPaths(s.Paths),
		Volumes: sortedVolumes(s.Volumes), AllowFrom: slices.Sorted(slices.Values(s.AllowFrom)), Schedule: s.Job.schedule(),
	}
	if s.Run != nil {
		one.Run = s.Run.clone()
	}
	if t == Web {
		one.Port = number(s.Port, DefaultPort)
	}
	switch {
	case t == Job:
	case one.Scale.Scales():
		one.Replicas = one.Scale.Min
	default:
		one.Replicas = number(s.Replicas, DefaultReplicas)
	}
	if len(one.Domains) == 0 {
		one.Domains = nil
	}
	return one
}

// problem is a mistake that several values make, and the keys that may be it:
// the first one that is there. The paths are those below the service.
type problem struct {
	text  string
	keys  []string
	lacks string // a key that is missed; if it is there, its own mistake is recorded
}

// problems returns the mistakes of a service of type t after all levels.
func (s Settings) problems(t ServiceType) []problem {
	if t == "" {
		return nil // reported already
	}
	var all []problem
	if s.Replicas != nil && s.Scale.on() {
		all = append(all, problem{"replicas: not beside scale, which decides; an environment that wants a fixed number says scale: false too", []string{"replicas", "scale"}, ""})
	}
	all = append(all, s.Scale.problems(t)...)
	all = append(all, s.routeProblems()...)
	all = append(all, volumeProblems(s.Volumes)...)
	return append(all, s.Job.problems()...)
}
