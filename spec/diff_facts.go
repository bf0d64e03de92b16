package spec

import (
	"cmp"
	"strconv"
	"strings"
)

// facts returns everything that the app says. A field that is not said has no
// fact, so that it can come and go.
func facts(a App) map[place]fact {
	l := &ledger{facts: make(map[place]fact)}
	l.text("name", a.Name)
	for _, s := range a.Services {
		l.part, l.service, l.rank, l.prefix = servicesPart, s.Name, 0, "services."+s.Name
		l.ofService(s)
	}
	l.part, l.service, l.rank, l.prefix = sharedPart, "", 0, ""
	l.ofTask("predeploy", a.Predeploy)
	for _, d := range a.Databases {
		l.ofDatabase(d)
	}
	l.rank++
	l.ofTask("seed", a.Seed)
	l.ofTask("teardown", a.Teardown)
	l.said("autoRollback", a.KeepFailed, "false")
	l.truth("buildpacks", a.Buildpacks)
	l.text("imageUser", a.ImageUser)
	return l.facts
}

// The parts of an app, in the order of reading; its name comes before them.
const (
	servicesPart = iota + 1
	sharedPart
)

// ledger collects facts. Every field takes a rank, said or not, so that two
// ledgers agree on places.
type ledger struct {
	facts   map[place]fact
	part    int
	service string
	rank    int
	prefix  string
}

// ofService puts what a reviewer asks first in front.
func (l *ledger) ofService(s Service) {
	l.whole(l.prefix, ".type", string(s.Type))
	l.rank++
	scaled := s.Scale.Scales() && s.Replicas == s.Scale.Min // scale.min says it then
	l.said("replicas", !scaled && (s.Type != Job || s.Replicas != 0), strconv.Itoa(s.Replicas))
	l.number("scale.min", s.Scale.Min)
	l.number("scale.max", s.Scale.Max)
	l.number("scale.cpu", s.Scale.CPU)
	l.number("scale.memory", s.Scale.Memory)
	l.text("scale.queue.type", s.Scale.Queue.Type)
	l.text("scale.queue.name", s.Scale.Queue.Name)
	l.text("scale.queue.from", s.Scale.Queue.From)
	l.number("scale.queue.length", s.Scale.Queue.Length)
	l.text("run", s.Run.line())
	l.number("port", s.Port)
	l.text("cpu", s.CPU)
	l.text("memory", s.Memory)
	l.ofCheck("health", s.Health.Check)
	l.text("health.timeout", s.Health.Timeout)
	l.text("health.startup", s.Health.Startup)
	l.ofCheck("health.liveness", s.Health.Liveness)
	l.text("grace", s.Grace)
	l.table("env", s.Env)
	l.table("secrets", s.Secrets)
	l.list("domains", s.Domains)
	l.list("paths", s.Paths)
	l.said("public", s.Type == Web || s.Private, strconv.FormatBool(!s.Private))
	l.list("allowFrom", s.AllowFrom)
	l.said("schedule", s.Type == Job || s.Schedule.Cron != "", cmp.Or(s.Schedule.Cron, "manual"))
	l.text("timezone", s.Schedule.Timezone)
	l.text("overlap", string(s.Schedule.Overlap))
	l.text("deadline", s.Schedule.Deadline)
	l.number("retries", s.Schedule.Retries)
	l.number("history", s.Schedule.History)
	for _, v := range s.Volumes {
		l.ofVolume(v)
	}
	l.rank++
}

func (l *ledger) ofCheck(name string, c Check) {
	l.text(name+".path", c.Path)
	l.truth(name+".tcp", c.TCP)
	l.text(name+".command", c.Command.line())
}

// ofVolume takes no rank: volumes stand side by side, by name.
func (l *ledger) ofVolume(v Volume) {
	name := "volumes." + v.Name
	l.put(name+".path", v.Path)
	if v.Size != "" {
		l.put(name+".size", v.Size)
	}
	if v.Claim != "" {
		l.put(name+".claim", v.Claim)
	}
}

// ofTask only takes ranks for a task that there is not.
func (l *ledger) ofTask(name string, t *Task) {
	if t == nil {
		t = &Task{}
	} else {
		l.whole(l.at(name), ".run", cmp.Or(t.Run.line(), "the image's own command"))
	}
	l.rank++
	l.text(name+".cpu", t.CPU)
	l.text(name+".memory", t.Memory)
	l.text(name+".timeout", t.Timeout)
	l.truth(name+".onRollback", t.OnRollback)
	l.table(name+".env", t.Env)
	l.table(name+".secrets", t.Secrets)
}

// ofDatabase takes no rank, like ofVolume.
func (l *ledger) ofDatabase(d Database) {
	name := "databases." + d.Name
	l.whole(name, ".type", d.Type)
	l.put(name+".env", d.Env)
	if d.Version != "" {
		l.put(name+".version", d.Version)
	}
}

// whole notes something that comes and goes as a whole under its own name, and
// changes under an inner one. It takes no rank.
func (l *ledger) whole(path, inner, value string) {
	l.note(fact{path: path, inner: path + inner, value: value})
}

func (l *ledger) text(name, value string) { l.said(name, value != "", value) }

func (l *ledger) number(name string, n int) { l.said(name, n != 0, strconv.Itoa(n)) }

func (l *ledger) truth(name string, b bool) { l.said(name, b, strconv.FormatBool(b)) }

func (l *ledger) said(name string, there bool, value string) {
	if there {
		l.put(name, value)
	}
	l.rank++
}

// put notes a value and takes no rank.
func (l *ledger) put(name, value string) { l.note(fact{path: l.at(name), value: value}) }

func (l *ledger) list(name string, items []string) {
	if len(items) > 0 {
		l.note(fact{path: l.at(name), items: items})
	}
	l.rank++
}

// table notes every entry: what is there and empty is not the same as what is
// not there.
func (l *ledger) table(name string, entries map[string]string) {
	for key, value := range entries {
		l.put(name+"."+key, value)
	}
	l.rank++
}

func (l *ledger) at(name string) string {
	if l.prefix == "" {
		return name
	}
	return l.prefix + "." + name
}

func (l *ledger) note(f fact) {
	l.facts[place{l.part, l.service, l.rank, f.path}] = f
}

// line shows the command in one line; empty for the image's own.
func (c Command) line() string {
	var words []string
	for _, word := range c.Exec {
		words = append(words, strconv.Quote(word))
	}
	list := "[" + strings.Join(words, ", ") + "]"
	shell := c.Shell
	if strings.HasPrefix(shell, "[") || strings.HasPrefix(shell, `"`) {
		shell = strconv.Quote(shell) // or it would look like a list
	}
	switch {
	case len(words) == 0:
		return shell
	case shell == "":
		return list
	}
	return shell + " " + list
}
