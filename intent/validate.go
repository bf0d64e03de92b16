package intent

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Shapes of the fields. Names are DNS labels because they become parts of
// Kubernetes names and of registry tags.
const (
	maxNameLength = 40
	maxTextLength = 1024

	maxConfigLines   = 200     // settings whose lines are told; spec.MaxLines
	maxConfigLine    = 100_000 // more than spec.MaxFileBytes has
	maxSettingLength = 320     // a path of names, the longest a variable of 256
)

// shapes are compiled once; they never change.
var (
	labelShape  = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	commitShape = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digestShape = regexp.MustCompile(`^[0-9a-f]{64}$`)

	settingShape = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

func cutDigest(image string) (repository, hex string, ok bool) {
	repository, hex, ok = strings.Cut(image, "@sha256:")
	return repository, hex, ok && repository != "" && digestShape.MatchString(hex)
}

// validate says what is wrong with a statement by itself, whoever signed it.
func (s Statement) validate() error {
	if s.Type != StatementType {
		return fmt.Errorf("%w: _type is %q, want %q", ErrMalformed, s.Type, StatementType)
	}
	if s.PredicateType != PredicateType {
		return fmt.Errorf("%w: predicateType is %q, want %q", ErrMalformed, s.PredicateType, PredicateType)
	}
	p := s.Predicate
	for field, name := range map[string]string{"app": p.App, "environment": p.Environment} {
		if len(name) > maxNameLength || !labelShape.MatchString(name) {
			return fmt.Errorf("%w: %s %q is not a DNS label of at most %d characters", ErrMalformed, field, name, maxNameLength)
		}
	}
	if err := p.validateKind(s.Image()); err != nil {
		return err
	}
	if err := p.validateConfig(); err != nil {
		return err
	}
	if err := p.Source.validate(); err != nil {
		return err
	}
	if err := s.validateSubject(); err != nil {
		return err
	}
	return p.validateTimes()
}

func (p Predicate) validateKind(image string) error {
	hasImage, hasSpec := image != "", p.Spec != nil
	targets, proper := p.targets()
	var want string
	switch p.Kind {
	case Deploy:
		if !hasImage || !hasSpec || targets > 0 {
			want = "an image, a spec and no release to go back to"
		} else if p.Spec.Name != p.App || len(p.Spec.Services) == 0 {
			want = "a spec of the same app with at least one service"
		} else if err := p.Spec.Validate(); err != nil {
			return fmt.Errorf("%w: spec: %w", ErrMalformed, err)
		}
	case Rollback:
		if hasImage || hasSpec || targets != 1 || !proper {
			want = "exactly one of rollbackTo, rollbackToCommit (7 to 40 lower-case hex digits) and rollbackToPrevious, no image and no spec"
		}
	case Destroy:
		if hasImage || hasSpec || targets > 0 {
			want = "neither image, spec nor a release to go back to"
		}
	default:
		return fmt.Errorf("%w: unknown kind %q", ErrMalformed, p.Kind)
	}
	if want != "" {
		return fmt.Errorf("%w: kind %s has to have %s", ErrMalformed, p.Kind, want)
	}
	return nil
}

// validateConfig keeps what people are shown to a file of the repository.
func (p Predicate) validateConfig() error {
	c := p.Config
	if c == nil {
		return nil
	}
	if p.Kind != Deploy {
		return fmt.Errorf("%w: config: kind %s has none", ErrMalformed, p.Kind)
	}
	if len(c.Path) > maxTextLength || !fs.ValidPath(c.Path) || c.Path == "." || !printable(c.Path) {
		return fmt.Errorf("%w: config: path %q is not that of a file in the repository, as in \"services/shop/inhaul.yaml\"", ErrMalformed, c.Path)
	}
	if len(c.Lines) > maxConfigLines {
		return fmt.Errorf("%w: config: got %d lines, want at most %d", ErrMalformed, len(c.Lines), maxConfigLines)
	}
	for setting, line := range c.Lines {
		if len(setting) > maxSettingLength || !settingShape.MatchString(setting) {
			return fmt.Errorf("%w: config: setting %q is not a path as in \"services.web.port\"", ErrMalformed, setting)
		}
		if line < 1 || line > maxConfigLine {
			return fmt.Errorf("%w: config: line of %s is %d, want 1 to %d", ErrMalformed, setting, line, maxConfigLine)
		}
	}
	return nil
}

// printable reports whether text has no character that a reader does not see.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' })
}

// validateSubject demands exactly what New makes.
func (s Statement) validateSubject() error {
	want := New(s.Image(), s.Predicate).Subject
	if len(s.Subject) != len(want) {
		return fmt.Errorf("%w: got %d subjects, want %d", ErrMalformed, len(s.Subject), len(want))
	}
	for i := range want {
		if s.Subject[i] != want[i] {
			return fmt.Errorf("%w: subject %d is not the image or the commit of the predicate", ErrMalformed, i)
		}
	}
	return nil
}

func (s Source) validate() error {
	if !commitShape.MatchString(s.Commit) {
		return fmt.Errorf("%w: commit %q is not 40 lower-case hex digits", ErrMalformed, s.Commit)
	}
	if s.HeadCommit != "" && !commitShape.MatchString(s.HeadCommit) {
		return fmt.Errorf("%w: head commit %q is not 40 lower-case hex digits", ErrMalformed, s.HeadCommit)
	}
	if owner, name, ok := strings.Cut(s.Repository, "/"); !ok || owner == "" || name == "" {
		return fmt.Errorf("%w: repository %q is not owner/name", ErrMalformed, s.Repository)
	}
	for field, n := range map[string]int64{
		"repositoryID": s.RepositoryID, "repositoryOwnerID": s.RepositoryOwnerID,
		"runID": s.RunID, "runNumber": s.RunNumber, "runAttempt": s.RunAttempt,
	} {
		// Above 2^53 JSON numbers lose digits in other implementations.
		if n < 1 || n > 1<<53 {
			return fmt.Errorf("%w: %s is %d, want 1 to 2^53", ErrMalformed, field, n)
		}
	}
	for field, text := range map[string]string{
		"repository": s.Repository, "ref": s.Ref, "event": s.Event, "workflowRef": s.WorkflowRef, "actor": s.Actor,
	} {
		if text == "" || len(text) > maxTextLength {
			return fmt.Errorf("%w: %s has %d characters, want 1 to %d", ErrMalformed, field, len(text), maxTextLength)
		}
	}
	for field, text := range map[string]string{
		"jobWorkflowRef": s.JobWorkflowRef, "triggeringActor": s.TriggeringActor, "githubEnvironment": s.GitHubEnvironment,
	} {
		if len(text) > maxTextLength {
			return fmt.Errorf("%w: %s has %d characters, want at most %d", ErrMalformed, field, len(text), maxTextLength)
		}
	}
	return nil
}

func (p Predicate) validateTimes() error {
	for field, at := range map[string]time.Time{"issuedAt": p.IssuedAt, "expiresAt": p.ExpiresAt, "source.eventAt": p.Source.EventAt} {
		if at.IsZero() || !at.Equal(at.Truncate(time.Millisecond)) || at.Location() != time.UTC {
			return fmt.Errorf("%w: %s is %v, want UTC in whole milliseconds", ErrMalformed, field, at)
		}
	}
	if p.Source.EventAt.After(p.IssuedAt) { // a rollback holds against events from before it
		return fmt.Errorf("%w: source.eventAt is %s, which is after issuedAt %s", ErrMalformed, stamp(p.Source.EventAt), stamp(p.IssuedAt))
	}
	if validity := p.ExpiresAt.Sub(p.IssuedAt); validity <= 0 || validity > MaxValidity {
		return fmt.Errorf("%w: valid for %s, want more than 0 and at most %s", ErrMalformed, validity, MaxValidity)
	}
	return nil
}

// stamp is a time as the statement has it.
func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z07:00") }
