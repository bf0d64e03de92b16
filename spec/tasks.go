package spec

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// TaskSettings is what a file says of a command around a release. Nil and empty
// mean: not said.
type TaskSettings struct {
	Off        bool // an environment does without it
	Run        *Command
	CPU        string
	Memory     string
	Size       string
	Timeout    string
	OnRollback *bool
}

// The bounds of a task's timeout.
const (
	maxTaskTimeout = 6 * time.Hour
)

func taskLevel() level[TaskSettings] {
	return level[TaskSettings]{"task", "The long form of `seed` and `teardown`. It runs with the `env` and the `secrets` that are common to all services.", []key[TaskSettings]{
		to("run", command(), func(t *TaskSettings) **Command { return &t.Run }).
			says("What is run. It has to be said, unless it is in an environment that changes something else.", "", "run: bin/task"),
		to("cpu", cpu(), func(t *TaskSettings) *string { return &t.CPU }).
			says("CPU that is kept for it.", DefaultCPU, "run: bin/task\ncpu: 500m"),
		to("memory", memory(), func(t *TaskSettings) *string { return &t.Memory }).
			says("Memory that is kept for it; it cannot have more.", DefaultMemory, "run: bin/task\nmemory: 1Gi"),
		to("size", size(), func(t *TaskSettings) *string { return &t.Size }).
			says("CPU and memory of a Heroku dyno; `cpu` or `memory` beside it wins.", "", "run: bin/task\nsize: standard-2x"),
		to("timeout", durationUpTo(maxTaskTimeout), func(t *TaskSettings) *string { return &t.Timeout }).
			says("How long it may take.", shortDuration(DefaultTaskTimeout), "run: bin/task\ntimeout: 30m"),
	}}
}

func predeployLevel() level[TaskSettings] {
	l := taskLevel()
	l.name, l.doc = "predeploy", "The long form of `predeploy`. It runs with the `env` and the `secrets` that are common to all services."
	l.keys = append(l.keys, to("onRollback", boolean(), func(t *TaskSettings) **bool { return &t.OnRollback }).
		says("Whether it also runs before a rollback.", "false", "run: bin/migrate\nonRollback: true"))
	return l
}

// task is a value of a command, or of the level l; where off, false says that
// there is none.
func task(l level[TaskSettings], off bool) value[*TaskSettings] {
	s := l.section()
	words := "text for a shell, a list that is run as it stands, or keys"
	if off {
		words = "text for a shell, a list that is run as it stands, keys, or false"
	}
	return value[*TaskSettings]{
		shape: shape{words: words, levels: []section{s}, schema: func(d *schema) object {
			forms := append(commandSchema()["anyOf"].([]object), d.ref(s))
			if off {
				forms = append(forms, object{"const": false})
			}
			return object{"anyOf": forms}
		}},
		parse: func(p *parser, e entry) *TaskSettings {
			t := TaskSettings{}
			n := p.follow(e.value)
			said, isTruth := truth(n)
			switch {
			case n.Kind == yaml.MappingNode:
				readLevel(p, e, l.keys, &t) // is a mapping
			case isTruth && off && !said:
				t.Off = true
			case isTruth && !said:
				p.fail(e.value, "%s: false switches it off for one environment, below environments; here it is simply left out", e.key.Value)
				return nil
			default:
				t.Run = p.command(e)
			}
			return &t
		},
	}
}

// with returns t with what over says differently.
func (t TaskSettings) with(over TaskSettings) TaskSettings {
	if over.Off || t.Off {
		return over
	}
	if over.Size != "" {
		t.Size, t.CPU, t.Memory = over.Size, "", ""
	}
	t.Run = said(t.Run, over.Run)
	t.CPU = said(t.CPU, over.CPU)
	t.Memory = said(t.Memory, over.Memory)
	t.Timeout = said(t.Timeout, over.Timeout)
	t.OnRollback = said(t.OnRollback, over.OnRollback)
	return t
}

// checkTask records a task that does not say what it runs.
func (p *parser) checkTask(at, name string, t *TaskSettings) {
	if t != nil && !t.Off && t.Run == nil {
		p.failMark(below(at, name), "%s: key \"run\" is missing", name)
	}
}

// task returns the task that t describes, or nil.
func (t *TaskSettings) task(v variablesOf) *Task {
	if t == nil || t.Off || t.Run == nil {
		return nil
	}
	cpu, memory := resources(t.Size, t.CPU, t.Memory)
	return &Task{
		Run: t.Run.clone(), CPU: cpu, Memory: memory, Timeout: unlessDefault(t.Timeout, DefaultTaskTimeout),
		Env: merged(v.env), Secrets: merged(v.secrets), OnRollback: t.OnRollback != nil && *t.OnRollback,
	}
}
