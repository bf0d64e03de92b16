// Package spec says what an app is: the file inhaul.yaml, strictly parsed, and
// the App it means in one environment.
//
// Start with Parse, which reports every mistake with its line and column, then
// File.Resolve, which is pure. The package reads no file and opens no
// connection.
package spec

import (
	"slices"
	"time"
)

// App is one app resolved for one environment: everything that a deploy intent
// carries about it. Its JSON form is part of the signed contract; keys are only
// ever added, never renamed. No field ever holds a secret's value.
type App struct {
	Name      string    `json:"name"`
	Services  []Service `json:"services"` // sorted by name, at least one
	Predeploy *Task     `json:"predeploy,omitempty"`
	// Databases, Seed and Teardown are those of a preview; empty elsewhere.
	Databases []Database `json:"databases,omitempty"` // sorted by name
	Seed      *Task      `json:"seed,omitempty"`
	Teardown  *Task      `json:"teardown,omitempty"`
	// KeepFailed says that a release which fails is left as it is, instead of the
	// last good one being put back.
	KeepFailed bool `json:"keepFailed,omitempty"`
	// Buildpacks says that Cloud Native Buildpacks made the image: commands go
	// through their launcher, which knows the environment.
	Buildpacks bool `json:"buildpacks,omitempty"`
	// ImageUser is the user of the image's own configuration ("1000", "node",
	// "1000:1000"), as the registry had it; empty: root, or not known.
	ImageUser string `json:"imageUser,omitempty"`
}

// ServiceType says how a service is run.
type ServiceType string

// The service types.
const (
	Web    ServiceType = "web"    // serves HTTP on Port
	Worker ServiceType = "worker" // serves nothing
	Job    ServiceType = "job"    // runs to its end, on a schedule or when asked
)

// ServiceTypes returns every service type.
func ServiceTypes() []ServiceType { return []ServiceType{Web, Worker, Job} }

// Service is one process type of an app.
type Service struct {
	Name      string            `json:"name"`
	Type      ServiceType       `json:"type"`
	Run       Command           `json:"run,omitzero"` // zero: the image's own command
	Port      int               `json:"port,omitempty"`
	Replicas  int               `json:"replicas"` // with Scale: its Min; of a job: 0
	CPU       string            `json:"cpu"`      // Kubernetes quantity, "100m"
	Memory    string            `json:"memory"`   // Kubernetes quantity, "128Mi"; request and limit
	Health    Health            `json:"health,omitzero"`
	Env       map[string]string `json:"env,omitempty"`
	Secrets   map[string]string `json:"secrets,omitempty"` // variable to reference, see Reference
	Scale     Scale             `json:"scale,omitzero"`
	Grace     string            `json:"grace,omitempty"` // Go duration from SIGTERM to SIGKILL; empty: DefaultGrace
	Domains   []string          `json:"domains,omitempty"`
	Private   bool              `json:"private,omitempty"` // a web service that only the cluster reaches
	Paths     []string          `json:"paths,omitempty"`   // URL path prefixes below Domains; empty: "/"
	Volumes   []Volume          `json:"volumes,omitempty"`
	AllowFrom []string          `json:"allowFrom,omitempty"` // apps of the same environment name that may connect
	Schedule  Schedule          `json:"schedule,omitzero"`   // of a job
}

// Command is what a container runs. A string in inhaul.yaml goes through a
// shell, which execs it so that signals arrive; a list is run as it stands. At
// most one of the two is set.
type Command struct {
	Shell string   `json:"shell,omitempty"`
	Exec  []string `json:"exec,omitempty"`
}

// IsZero reports whether the image's own command is meant.
func (c Command) IsZero() bool { return c.Shell == "" && len(c.Exec) == 0 }

// Check is one way to ask a container how it is: at most one field is set.
type Check struct {
	Path    string  `json:"path,omitempty"`   // HTTP GET on the port, answered 200 to 399
	TCP     bool    `json:"tcp,omitempty"`    // the port accepts a connection
	Command Command `json:"command,omitzero"` // ends with 0
}

// IsZero reports whether nothing is asked.
func (c Check) IsZero() bool { return c.Path == "" && !c.TCP && c.Command.IsZero() }

// Health says when a new pod is ready, and when a running one is to be started
// anew. The zero value means: ready as soon as the port of a web service accepts
// a connection, or a worker runs; never started anew while it runs.
type Health struct {
	Check           // readiness
	Timeout  string `json:"timeout,omitempty"` // Go duration; how long a new pod may take to be ready; empty: DefaultHealthTimeout
	Startup  string `json:"startup,omitempty"` // Go duration; how long the process may start before Liveness counts
	Liveness Check  `json:"liveness,omitzero"`
}

// IsZero reports whether nothing is said. Without it the one of Check would
// count, and the JSON of a Health that has no readiness check would lose the
// rest.
func (h Health) IsZero() bool {
	return h.Check.IsZero() && h.Timeout == "" && h.Startup == "" && h.Liveness.IsZero()
}

// Scale lets the number of pods follow the load: Max is 0 where it does not.
type Scale struct {
	Min    int   `json:"min,omitempty"`
	Max    int   `json:"max,omitempty"`
	CPU    int   `json:"cpu,omitempty"`    // per cent of the requested CPU, the average of the pods
	Memory int   `json:"memory,omitempty"` // per cent of the requested memory
	Queue  Queue `json:"queue,omitzero"`
}

// Queue is a queue whose length decides how many pods run. It needs KEDA.
type Queue struct {
	Type   string `json:"type,omitempty"`   // "redis" (a list), "sqs" or "rabbitmq"
	Name   string `json:"name,omitempty"`   // of the list or queue; of sqs, its URL
	From   string `json:"from,omitempty"`   // variable that has the server's URL; of sqs, the queue's
	Length int    `json:"length,omitempty"` // messages that one pod is meant to have waiting
}

// Volume is a folder that outlives a container: empty at a pod's start, or an
// existing PersistentVolumeClaim.
type Volume struct {
	Name  string `json:"name"`
	Path  string `json:"path"`            // absolute, in the container
	Size  string `json:"size,omitempty"`  // Kubernetes quantity; most that an empty folder may hold
	Claim string `json:"claim,omitempty"` // PersistentVolumeClaim of the environment's namespace; instead of Size
}

// Overlap says what happens when a job is due and its last run goes on.
type Overlap string

// What an overlap means.
const (
	Forbid  Overlap = "forbid"  // the due run is left out
	Allow   Overlap = "allow"   // both run
	Replace Overlap = "replace" // the old run is ended
)

// Schedule says when a job runs, and how. Cron is empty for a job that runs only
// when somebody asks.
type Schedule struct {
	Cron     string  `json:"cron,omitempty"`     // five fields, or @hourly and the like
	Timezone string  `json:"timezone,omitempty"` // IANA name; empty: UTC
	Overlap  Overlap `json:"overlap,omitempty"`  // empty: Forbid
	Deadline string  `json:"deadline,omitempty"` // Go duration of one run in all; empty: DefaultDeadline
	Retries  int     `json:"retries,omitempty"`  // of a failed run
	History  int     `json:"history,omitempty"`  // ended runs that are kept, of each kind; 0: DefaultHistory
}

// Task is a command that runs to its end around a release. It has the env and
// the secrets that are common to all services.
type Task struct {
	Run        Command           `json:"run"`
	CPU        string            `json:"cpu"`
	Memory     string            `json:"memory"`
	Timeout    string            `json:"timeout,omitempty"` // Go duration; empty: DefaultTaskTimeout
	Env        map[string]string `json:"env,omitempty"`
	Secrets    map[string]string `json:"secrets,omitempty"`
	OnRollback bool              `json:"onRollback,omitempty"` // predeploy: also before a rollback
}

// Database is a throwaway database of a preview.
type Database struct {
	Name    string `json:"name"`
	Type    string `json:"type"`              // "postgres" or "redis"
	Version string `json:"version,omitempty"` // "17"; empty: the agent's choice
	Env     string `json:"env"`               // variable that gets its URL
}

// The defaults of a service.
const (
	DefaultPort          = 8080
	DefaultReplicas      = 1
	DefaultCPU           = "100m"
	DefaultMemory        = "256Mi"
	DefaultHealthTimeout = 115 * time.Second // two minutes, less what it takes to say so on the commit
	DefaultGrace         = 30 * time.Second
	DefaultDeadline      = time.Hour
	DefaultHistory       = 3
	DefaultTaskTimeout   = 10 * time.Minute
	DefaultScaleCPU      = 70 // per cent, where scale names nothing to scale by
	DefaultQueueLength   = 10
)

// ReadyTimeout is how long a new pod of the service may take to be ready
// before its release has failed.
func (s Service) ReadyTimeout() time.Duration {
	return duration(s.Health.Timeout, DefaultHealthTimeout)
}

// GracePeriod is how long the service has from SIGTERM to SIGKILL.
func (s Service) GracePeriod() time.Duration { return duration(s.Grace, DefaultGrace) }

// Limit is how long one run of a job may take, retries and all.
func (s Schedule) Limit() time.Duration { return duration(s.Deadline, DefaultDeadline) }

// Limit is how long the task may take.
func (t Task) Limit() time.Duration { return duration(t.Timeout, DefaultTaskTimeout) }

// Scales reports whether the number of pods follows the load.
func (s Scale) Scales() bool { return s.Max > 0 }

// Public reports whether the service is reached from outside the cluster.
func (s Service) Public() bool { return s.Type == Web && !s.Private }

// LongRunning returns the services that keep pods running.
func (a App) LongRunning() []Service {
	return slices.DeleteFunc(slices.Clone(a.Services), func(s Service) bool { return s.Type == Job })
}

func duration(text string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d
	}
	return fallback
}

// Build says how the image is built.
type Build struct {
	Method     string            `json:"method,omitempty"`     // BuildDockerfile or BuildBuildpacks; default the first
	Context    string            `json:"context,omitempty"`    // directory, relative to inhaul.yaml; default "."
	Dockerfile string            `json:"dockerfile,omitempty"` // relative to Context; default "Dockerfile"
	Args       map[string]string `json:"args,omitempty"`
	Target     string            `json:"target,omitempty"`
	Builder    string            `json:"builder,omitempty"`    // image of a buildpacks builder; empty: DefaultBuilder
	Buildpacks []string          `json:"buildpacks,omitempty"` // empty: the builder detects them
}

// How an image is built.
const (
	BuildDockerfile = "dockerfile"
	BuildBuildpacks = "buildpacks"
	DefaultBuilder  = "heroku/builder:24"
)
