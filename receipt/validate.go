package receipt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/envelope"
)

// shapes are compiled once; they never change.
var (
	labelShape      = regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`)
	repositoryShape = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}\z`)
	commitShape     = regexp.MustCompile(`\A[0-9a-f]{40}\z`)
	digestShape     = regexp.MustCompile(`\A[0-9a-f]{64}\z`)
)

// rule is what has to hold of a statement.
type rule struct {
	holds bool
	want  string
}

// check returns the first rule that does not hold.
func check(rules []rule) error {
	for _, r := range rules {
		if !r.holds {
			return fmt.Errorf("%w: want %s", ErrMalformed, r.want)
		}
	}
	return nil
}

// validate says what is wrong with a statement by itself, whoever signed it.
func (s Statement) validate() error {
	if s.Type != envelope.StatementType || s.PredicateType != PredicateType {
		return fmt.Errorf("%w: got a statement of type %.100q, want %q", ErrType, s.PredicateType, PredicateType)
	}
	p := s.Predicate
	var subjects []Subject
	if len(s.Subject) > 0 {
		subjects = []Subject{{Name: intentName, Digest: Digest{SHA256: s.Subject[0].Digest.SHA256}}}
	}
	if p.Check.Commit != "" {
		subjects = append(subjects, commitSubject(p.Check))
	}
	err := check([]rule{
		{len(subjects) > 0 && slices.Equal(s.Subject, subjects), "the subjects intent and, unless it is unknown, the check's commit"},
		{len(subjects) > 0 && digestShape.MatchString(subjects[0].Digest.SHA256), "the sha256 of an intent"},
		{p.Number >= 1 && p.Number <= MaxNumber, fmt.Sprintf("a number from 1 to %d", MaxNumber)},
		{labelShape.MatchString(p.App), "app to be a DNS label"},
		{labelShape.MatchString(p.Environment), "environment to be a DNS label"},
		{p.Release >= 0, "no negative release"},
		{len(p.Key) <= MaxTitleBytes, fmt.Sprintf("a key of at most %d bytes", MaxTitleBytes)},
		{p.Final == (p.Check.Status == "completed"), "final exactly when the check is completed"},
		{!p.IssuedAt.IsZero() && whole(p.IssuedAt), "issuedAt in UTC and whole milliseconds"},
	})
	if err != nil {
		return err
	}
	if p.Check.ExternalID != "sha256:"+s.Subject[0].Digest.SHA256 {
		return fmt.Errorf("%w: want the check's externalID to be the intent", ErrMalformed)
	}
	if err := p.Check.validate(); err != nil {
		return err
	}
	if err := p.Comment.validate(); err != nil {
		return err
	}
	return p.Marker.validate()
}

func (c Check) validate() error {
	err := check([]rule{
		{c.Repository == "" || repositoryShape.MatchString(c.Repository), "check.repository to be owner/name"},
		{c.Commit == "" || commitShape.MatchString(c.Commit), "check.commit to be 40 lower-case hex digits"},
		{c.Name != "" && len(c.Name) <= MaxTitleBytes, "a check.name"},
		{slices.Contains([]string{"queued", "in_progress", "completed"}, c.Status), "check.status queued, in_progress or completed"},
		{(c.Status == "completed") == (c.Conclusion != ""), "a check.conclusion exactly when completed"},
		{c.Conclusion == "" || slices.Contains(conclusions(), c.Conclusion), "check.conclusion to be one of " + strings.Join(conclusions(), ", ")},
		{len(c.Title) <= MaxTitleBytes && len(c.Summary) <= MaxBodyBytes && len(c.Text) <= MaxBodyBytes, fmt.Sprintf("a title of at most %d bytes, and summary and text of at most %d", MaxTitleBytes, MaxBodyBytes)},
		{len(c.DetailsURL) <= MaxNoteBytes, fmt.Sprintf("a detailsURL of at most %d bytes", MaxNoteBytes)},
		{len(c.Annotations) <= MaxAnnotations, fmt.Sprintf("at most %d annotations", MaxAnnotations)},
		{whole(c.StartedAt) && whole(c.CompletedAt), "times in UTC and whole milliseconds"},
	})
	for i := 0; err == nil && i < len(c.Annotations); i++ {
		a := c.Annotations[i]
		err = check([]rule{
			{a.Path != "" && len(a.Path) <= MaxTitleBytes && a.Line >= 1, "a path and a line from 1 in every annotation"},
			{slices.Contains([]string{"notice", "warning", "failure"}, a.Level), "an annotation's level to be notice, warning or failure"},
			{len(a.Title) <= MaxTitleBytes && a.Message != "" && len(a.Message) <= MaxNoteBytes, fmt.Sprintf("an annotation's message of 1 to %d bytes", MaxNoteBytes)},
		})
	}
	return err
}

// conclusions are those of GitHub's check runs.
func conclusions() []string {
	return []string{"success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"}
}

func (c *Comment) validate() error {
	if c == nil {
		return nil
	}
	return check([]rule{
		{repositoryShape.MatchString(c.Repository), "comment.repository to be owner/name"},
		{c.PullRequest >= 1, "comment.pullRequest from 1"},
		{len(c.Marker) <= MaxTitleBytes && strings.HasPrefix(c.Marker, "<!--") && strings.HasSuffix(c.Marker, "-->"), "comment.marker to be an HTML comment"},
		{len(c.Body) <= MaxBodyBytes && strings.Contains(c.Body, c.Marker), fmt.Sprintf("a comment.body of at most %d bytes with the marker in it", MaxBodyBytes)},
	})
}

func (m *Marker) validate() error {
	if m == nil {
		return nil
	}
	return check([]rule{
		{m.Release >= 0 && m.Back >= 0 && m.Restored >= 0, "no negative release in the marker"},
		{len(m.URL) <= MaxNoteBytes && len(m.Image) <= MaxTitleBytes, "a short url and image in the marker"},
		{m.Commit == "" || commitShape.MatchString(m.Commit), "marker.commit to be 40 lower-case hex digits"},
	})
}

// whole reports whether a time stands the same way in every implementation.
func whole(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(t.Truncate(time.Millisecond))
}
