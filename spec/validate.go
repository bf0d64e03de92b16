package spec

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// zoneShape is that of a time zone's name. Whether there is one is for the
// cluster to say: its list may be newer than ours.
var (
	zoneShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+/-]{0,63}$`)
	userShape = regexp.MustCompile(`^[!-~]{0,256}$`)
)

// Validate returns what is wrong with an app that somebody else resolved, as the
// one in an intent; what Resolve returns is never wrong. It looks at what an app
// can ask for beyond name, type, command, port, replicas, CPU, memory and env,
// which are for the API server to refuse.
func (a App) Validate() error {
	if !userShape.MatchString(a.ImageUser) {
		return fmt.Errorf("imageUser %s is no user", quoted(a.ImageUser))
	}
	for _, s := range a.Services {
		if err := s.validate(); err != nil {
			return fmt.Errorf("service %s: %w", quoted(s.Name), err)
		}
	}
	for _, t := range []struct {
		name string
		task *Task
	}{{"predeploy", a.Predeploy}, {"seed", a.Seed}, {"teardown", a.Teardown}} {
		if t.task == nil {
			continue
		}
		if err := t.task.validate(); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, d := range a.Databases {
		if err := d.validate(); err != nil {
			return fmt.Errorf("database %s: %w", quoted(d.Name), err)
		}
	}
	return nil
}

func (s Service) validate() error {
	return cmp.Or(
		validSecrets(s.Secrets),
		validDuration("grace", s.Grace, maxGrace),
		s.Health.validate(),
		s.Scale.validate(),
		s.Schedule.validate(),
		valid("domains", checkDomain, s.Domains...),
		valid("paths", checkPrefix, s.Paths...),
		valid("allowFrom", checkLabel, s.AllowFrom...),
		validVolumes(s.Volumes),
	)
}

func (h Health) validate() error {
	for _, c := range []Check{h.Check, h.Liveness} {
		kinds := 0
		for _, said := range []bool{c.Path != "", c.TCP, !c.Command.IsZero()} {
			if said {
				kinds++
			}
		}
		if kinds > 1 {
			return fmt.Errorf("health: want at most one of path, tcp and command, got %d", kinds)
		}
	}
	return cmp.Or(
		validSaid("liveness path", checkURLPath, h.Liveness.Path),
		validDuration("startup", h.Startup, maxHealthTimeout),
	)
}

func (s Scale) validate() error {
	if s == (Scale{}) {
		return nil
	}
	return cmp.Or(
		validNumber("scale min", s.Min, 0, s.Max),
		validNumber("scale max", s.Max, 1, maxReplicas),
		validNumber("scale cpu", s.CPU, 0, 100),
		validNumber("scale memory", s.Memory, 0, 100),
		validWord("queue type", s.Queue.Type, "", queueRedis, queueSQS, queueRabbit),
		validNumber("queue length", s.Queue.Length, 0, maxQueueLength),
		validSaid("queue from", checkVariable, s.Queue.From),
	)
}

func (s Schedule) validate() error {
	return cmp.Or(
		validSaid("schedule", parseCron, s.Cron),
		validSaid("timezone", shapedAs(zoneShape), s.Timezone),
		validWord("overlap", s.Overlap, "", Forbid, Allow, Replace),
		validDuration("deadline", s.Deadline, maxDeadline),
		validNumber("retries", s.Retries, 0, maxRetries),
		validNumber("history", s.History, 0, maxHistory),
	)
}

func validVolumes(volumes []Volume) error {
	var all error
	for _, v := range volumes {
		var both error
		if v.Size != "" && v.Claim != "" {
			both = errors.New("want a size or a claim, got both")
		}
		err := cmp.Or(
			valid("name", checkLabel, v.Name), valid("path", checkMount, v.Path),
			validSaid("size", parseMemory, v.Size), validSaid("claim", checkClaim, v.Claim), both,
		)
		if err != nil {
			all = cmp.Or(all, fmt.Errorf("volume %s: %w", quoted(v.Name), err))
		}
	}
	return all
}

func (t Task) validate() error {
	var run error
	if t.Run.IsZero() {
		run = errors.New("there is nothing to run")
	}
	return cmp.Or(
		run, validSecrets(t.Secrets),
		valid("cpu", parseCPU, t.CPU), valid("memory", parseMemory, t.Memory),
		validDuration("timeout", t.Timeout, maxTaskTimeout),
	)
}

func (d Database) validate() error {
	return cmp.Or(
		valid("name", checkLabel, d.Name), validWord("type", d.Type, databasePostgres, databaseRedis),
		valid("env", checkVariable, d.Env), validSaid("version", shapedAs(versionShape), d.Version),
	)
}

// valid returns what check has against the texts, which have to be spelled as
// Resolve would.
func valid(what string, check func(string) (string, error), texts ...string) error {
	for _, text := range texts {
		spelled, err := check(text)
		if err == nil && spelled != text {
			err = fmt.Errorf("want %s, got %s", quoted(spelled), quoted(text))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// validSaid is valid for a text that may be empty.
func validSaid(what string, check func(string) (string, error), text string) error {
	if text == "" {
		return nil
	}
	return valid(what, check, text)
}

func shapedAs(shape *regexp.Regexp) func(string) (string, error) {
	return func(text string) (string, error) {
		if !shape.MatchString(text) {
			return "", fmt.Errorf("want %s, got %s", shape, quoted(text))
		}
		return text, nil
	}
}

func validWord[W ~string](what string, word W, words ...W) error {
	if slices.Contains(words, word) {
		return nil
	}
	return fmt.Errorf("%s: got unknown %s", what, quoted(string(word)))
}

func validNumber(what string, n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%s: want %d to %d, got %d", what, least, most, n)
	}
	return nil
}

func validDuration(what, text string, most time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minDuration || d > most {
		return fmt.Errorf("%s: want %s to %s, got %s", what, shortDuration(minDuration), shortDuration(most), quoted(text))
	}
	return nil
}

// validSecrets never repeats what stands where a reference should.
func validSecrets(secrets map[string]string) error {
	for _, name := range sortedKeys(secrets) {
		_, err := checkVariable(name)
		if err == nil {
			_, err = ParseReference(secrets[name])
		}
		if err != nil {
			return fmt.Errorf("secret %s: %w", quoted(name), err)
		}
	}
	return nil
}
