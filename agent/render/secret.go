package render

import (
	"fmt"
	"maps"
	"slices"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// TaskHolder is the Holder that a task of that kind is. No service has that name.
func TaskHolder(kind agent.TaskKind) string { return "." + string(kind) }

// Holder is somebody who needs secrets: a service, a task, or the scaler
// that looks at a service's queue. There is one Secret for each, named by
// SecretName, with what Data says.
type Holder struct {
	Name    string
	Secrets map[string]string // variable to reference; the variables of databases come on top
	Queue   spec.Queue        // of the scaler of a queue; the zero value elsewhere
}

// Holders returns who needs secrets in a: whoever has some, and everybody where
// there are databases. The scaler of a queue is one of its own, so that its
// parts of a URL do not end up in the env of the service.
func Holders(a spec.App) []Holder {
	var holders []Holder
	for _, s := range a.Services {
		if len(s.Secrets) > 0 || len(a.Databases) > 0 {
			holders = append(holders, Holder{Name: s.Name, Secrets: maps.Clone(s.Secrets)})
		}
		if from := s.Scale.Queue.From; s.Scale.Scales() && secretVariable(a, s, from) && s.Scale.Queue.Type != queueRabbitMQ {
			h := Holder{Name: queueHolder(s.Name), Queue: s.Scale.Queue}
			if reference, ok := s.Secrets[from]; ok {
				h.Secrets = map[string]string{from: reference}
			}
			holders = append(holders, h)
		}
	}
	for _, kind := range agent.TaskKinds() {
		if task := kind.Of(a); task != nil && (len(task.Secrets) > 0 || len(a.Databases) > 0) {
			holders = append(holders, Holder{Name: TaskHolder(kind), Secrets: maps.Clone(task.Secrets)})
		}
	}
	return holders
}

// Data is what the Secret of h has, given the values of its variables: the
// variables, or for the scaler of a queue the parts of the URL that it can read.
// An error names the variable and never its value.
func (h Holder) Data(values map[string]string) (map[string]string, error) {
	if h.Queue == (spec.Queue{}) {
		return maps.Clone(values), nil
	}
	value, ok := values[h.Queue.From]
	if !ok {
		return nil, fmt.Errorf("scale.queue: variable %q has no value", h.Queue.From)
	}
	if h.Queue.Type == queueSQS {
		region, err := sqsRegion(value)
		if err != nil {
			return nil, fmt.Errorf("scale.queue: variable %q: %w", h.Queue.From, err)
		}
		return map[string]string{"awsRegion": region}, nil
	}
	data, err := redisData(value)
	if err != nil {
		return nil, fmt.Errorf("scale.queue: variable %q: %w", h.Queue.From, err)
	}
	return data, nil
}

// SecretName is the name of an immutable Secret made from the secrets of holder,
// whom Holders names. Content stands for the values, as ConfigHash does: the name
// changes with it, so that an old ReplicaSet still finds its own.
func SecretName(app, holder, content string) string {
	return Name(app, holder) + "-secret-" + hash(configHashLength, holder, content)
}

// queueHolder is the name of the Holder that looks at the queue of a service. No
// service has that name.
func queueHolder(service string) string { return service + ".queue" }

func (s service) secretVariable(name string) bool {
	return secretVariable(s.release.App, s.Service, name)
}

// secretVariable reports whether the service has a variable from its secrets or
// from a database.
func secretVariable(a spec.App, s spec.Service, name string) bool {
	_, secret := s.Secrets[name]
	return secret || slices.ContainsFunc(a.Databases, func(d spec.Database) bool { return d.Env == name })
}
