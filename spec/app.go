// Package spec says what an app is: the file inhaul.yaml, strictly parsed, and
// the App it means in one environment.
//
// Start with Parse, which reports every mistake with its line and column, then
// File.Resolve, which is pure. The package reads no file and opens no
// connection.
package spec

import "time"

// App is one app resolved for one environment: everything that a deploy intent
// carries about it. Its JSON form is part of the signed contract; keys are only
// ever added, never renamed.
type App struct {
	Name     string    `json:"name"`
	Services []Service `json:"services"` // sorted by name, at least one
}

// ServiceType says how a service is run.
type ServiceType string

// The service types.
const (
	Web    ServiceType = "web"    // serves HTTP on Port
	Worker ServiceType = "worker" // serves nothing
)

// Service is one process type of an app.
type Service struct {
	Name     string            `json:"name"`
	Type     ServiceType       `json:"type"`
	Run      Command           `json:"run,omitzero"` // zero: the image's own command
	Port     int               `json:"port,omitempty"`
	Replicas int               `json:"replicas"`
	CPU      string            `json:"cpu"`    // Kubernetes quantity, "100m"
	Memory   string            `json:"memory"` // Kubernetes quantity, "128Mi"
	Health   Health            `json:"health,omitzero"`
	Env      map[string]string `json:"env,omitempty"`
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

// Health says when a new pod is ready. The zero value means: as soon as the
// port of a web service accepts a connection, or a worker runs.
type Health struct {
	Path    string `json:"path,omitempty"`    // HTTP GET answered 200 to 399
	Timeout string `json:"timeout,omitempty"` // Go duration; how long a new pod may take to be ready
}

// The defaults of a service.
const (
	DefaultPort          = 8080
	DefaultReplicas      = 1
	DefaultCPU           = "100m"
	DefaultMemory        = "256Mi"
	DefaultHealthTimeout = 120 * time.Second
)

// ReadyTimeout is how long a new pod of the service may take to be ready
// before its release has failed.
func (s Service) ReadyTimeout() time.Duration {
	if d, err := time.ParseDuration(s.Health.Timeout); err == nil {
		return d
	}
	return DefaultHealthTimeout
}

// Build says how the image is built.
type Build struct {
	Context    string            `json:"context,omitempty"`    // directory, relative to inhaul.yaml; default "."
	Dockerfile string            `json:"dockerfile,omitempty"` // relative to Context; default "Dockerfile"
	Args       map[string]string `json:"args,omitempty"`
	Target     string            `json:"target,omitempty"`
}
