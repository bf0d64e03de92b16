package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/inhaul/inhaul/intent"
)

// Bounds of one look at a registry.
const (
	maxNoticesPerPoll = 200
	pollTimeout       = 30 * time.Second
	keyPatience       = 90 * time.Second // an issuer is asked for its keys at most once a minute
)

// poll is watchApp, counted.
func (a *Agent) poll(ctx context.Context, name string) error {
	err := a.watchApp(ctx, name)
	if ctx.Err() == nil {
		a.Pulse.Polled(name, err)
	}
	return err
}

// watchApp is one look at the app's registry: every new intent becomes a
// release or a refusal, oldest first. An intent that cannot be decided now
// (registry or issuer down) is left for the next look.
func (a *Agent) watchApp(ctx context.Context, name string) error {
	app, found := a.app(name)
	if !found {
		return nil // deleted: its releases stay, nothing new is admitted
	}
	a.remind(app)
	if err := a.makeRoom(ctx, name); err != nil {
		a.log.Warn("looking for room for previews again after an error", "name", app.Name, "error", err)
	}
	if err := a.forgetPreviews(ctx, app); err != nil {
		a.log.Warn("an old record of a preview stays", "name", app.Name, "error", err)
	}
	policy, err := CompilePolicy(app)
	if err != nil {
		return a.problem(ctx, app, err)
	}
	listCtx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	notices, err := a.Registry.List(listCtx, app.Intents)
	if err != nil {
		return a.problem(ctx, app, fmt.Errorf("listing intents: %w", err))
	}
	if err := a.notice(ctx, app, a.trouble(app)); err != nil {
		return err
	}
	noticed := a.now()
	var failures []error
	for _, notice := range a.news(app, notices, noticed) {
		if err := a.take(ctx, policy, notice, noticed); err != nil {
			failures = append(failures, fmt.Errorf("taking intent %s: %w", notice.Tag, err))
		}
	}
	return errors.Join(failures...)
}

func (a *Agent) app(name string) (App, bool) {
	apps := a.Apps.Apps()
	i := slices.IndexFunc(apps, func(app App) bool { return app.Name == name })
	if i < 0 {
		return App{}, false
	}
	return apps[i], true
}

// problem makes visible on the App what keeps its intents from being taken, and
// returns it.
func (a *Agent) problem(ctx context.Context, app App, problem error) error {
	if err := a.notice(ctx, app, problem.Error()); err != nil {
		return errors.Join(problem, err)
	}
	return problem
}

// notice makes what is wrong with the App visible on it; empty for nothing.
func (a *Agent) notice(ctx context.Context, app App, problem string) error {
	if app.Status.Problem == problem {
		return nil
	}
	if err := a.Apps.UpdateApp(ctx, app.Name, func(s *AppStatus) { s.Problem = problem }); err != nil {
		return fmt.Errorf("writing the status of App %s: %w", app.Name, err)
	}
	return nil
}

// news are the notices that are not decided yet, oldest first.
func (a *Agent) news(app App, notices []Notice, now time.Time) []Notice {
	known := map[string]bool{}
	forgotten := map[string]time.Time{}
	for _, marks := range app.Status.Lines {
		forgotten[marks.Environment] = marks.ForgottenBefore
	}
	looked := map[string]bool{}
	for _, n := range notices { // of environments that the App had once, too
		if looked[n.Environment] {
			continue
		}
		looked[n.Environment] = true
		for _, r := range a.Reader.Releases(Line{App: app.Name, Environment: n.Environment}) {
			known[prefix(r.Intent)] = true
		}
	}
	for _, r := range app.Status.Refusals {
		known[prefix(r.Intent)] = true
		known[r.Tag] = true
	}
	for _, p := range app.Previews {
		for _, d := range p.Decided {
			known[prefix(d.Intent)] = true
		}
	}
	oldest := now.Add(-intent.MaxValidity - intent.MaxClockSkew) // what is older has expired
	fresh := slices.DeleteFunc(slices.Clone(notices), func(n Notice) bool {
		return known[n.DigestPrefix] || known[n.Tag] || a.isSpurned(app.Name, n.Tag) || n.IssuedAt.Before(oldest) || !n.IssuedAt.After(forgotten[n.Environment])
	})
	slices.SortFunc(fresh, func(x, y Notice) int { return x.IssuedAt.Compare(y.IssuedAt) })
	return fresh[:min(len(fresh), maxNoticesPerPoll)]
}

// prefix is what a tag shows of an intent digest.
func prefix(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(len(hex), intent.TagDigestLength)]
}

// take turns one notice into a release or a refusal.
func (a *Agent) take(ctx context.Context, policy Policy, notice Notice, noticed time.Time) error {
	fetchCtx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	refusal := Refusal{Line: Line{App: policy.app.Name, Environment: notice.Environment}, Tag: notice.Tag, At: noticed}
	envelope, err := a.Registry.Fetch(fetchCtx, policy.app.Intents, notice.Tag)
	if errors.Is(err, ErrNotIntent) {
		refusal.Rule, refusal.Message = "format", err.Error()
		return a.refuse(ctx, refusal, time.Time{})
	}
	if err != nil {
		return err
	}
	v, err := a.verify(fetchCtx, policy.app, envelope)
	if err == nil && !notice.announces(v) {
		err = fmt.Errorf("%w: the tag announces another intent", intent.ErrMalformed)
	}
	if unknown := (*intent.UnknownKeyError)(nil); errors.As(err, &unknown) && unknown.Issuer != "" && noticed.Sub(a.firstSeen(notice, noticed)) < keyPatience {
		return err // the issuer may have a key that this agent was not allowed to ask for yet
	}
	if rule := ruleOf(err); rule != "" {
		refusal.Rule, refusal.Message = rule, err.Error()
		return a.refuse(ctx, refusal, time.Time{})
	}
	if err != nil {
		return err
	}
	return a.decide(ctx, policy, v, refusal)
}

// announces reports whether the tag tells the truth about v: news believes it.
func (n Notice) announces(v intent.Verified) bool {
	p := v.Statement().Predicate
	return prefix(v.Digest()) == n.DigestPrefix && p.Environment == n.Environment && p.IssuedAt.Equal(n.IssuedAt)
}

// firstSeen returns when the notice was first looked at by this process.
func (a *Agent) firstSeen(n Notice, now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) > 10*maxNoticesPerPoll { // whoever may push tags may make any number
		clear(a.seen)
	}
	if _, known := a.seen[n.Tag]; !known {
		a.seen[n.Tag] = now
	}
	return a.seen[n.Tag]
}

// verify checks an envelope against the App's signers. Only the issuer of the
// envelope's own token is asked for keys, and asked anew once for an unknown one:
// an issuer that cannot be reached is in the way of no other signer.
func (a *Agent) verify(ctx context.Context, app App, envelope []byte) (intent.Verified, error) {
	trust := intent.Trust{}
	for _, signer := range app.Signers {
		if signer.PublicKey != "" {
			key, err := intent.ParsePublicKey([]byte(signer.PublicKey))
			if err != nil {
				return intent.Verified{}, err
			}
			trust.Keys = append(trust.Keys, key)
			continue
		}
		trust.Issuers = append(trust.Issuers, intent.Issuer{URL: signer.Issuer})
	}
	for _, ask := range []func(context.Context, string) (jose.JSONWebKeySet, error){a.Keys.Keys, a.Keys.Refresh} {
		v, err := intent.Verify(envelope, trust, a.now())
		unknown := &intent.UnknownKeyError{}
		if !errors.As(err, &unknown) || unknown.Issuer == "" {
			return v, err
		}
		keys, err := ask(ctx, unknown.Issuer)
		if err != nil {
			return intent.Verified{}, fmt.Errorf("asking %s for key %q: %w", unknown.Issuer, unknown.KeyID, err)
		}
		for i := range trust.Issuers {
			if trust.Issuers[i].URL == unknown.Issuer {
				trust.Issuers[i].Keys = keys
			}
		}
	}
	return intent.Verify(envelope, trust, a.now())
}

// ruleOf names the rule behind a final verification error; empty for errors
// that another try may mend.
func ruleOf(err error) string {
	for _, rule := range []struct {
		err  error
		name string
	}{
		{intent.ErrTooLarge, "size"},
		{intent.ErrMalformed, "format"},
		{intent.ErrUnknownField, "format"},
		{intent.ErrUnsigned, "signature"},
		{intent.ErrSignature, "signature"},
		{intent.ErrUnknownKey, "signer"},
		{intent.ErrIssuer, "signer"},
		{intent.ErrAudience, "audience"},
		{intent.ErrClaims, "claims"},
		{intent.ErrStale, "age"},
		{intent.ErrExpired, "age"},
		{intent.ErrNotYetValid, "age"},
	} {
		if errors.Is(err, rule.err) {
			return rule.name
		}
	}
	return ""
}

// decide applies policy and ordering to a verified intent.
func (a *Agent) decide(ctx context.Context, policy Policy, v intent.Verified, refusal Refusal) error {
	p := v.Statement().Predicate
	verified := a.now()
	refusal.Line, refusal.Intent = Line{App: policy.app.Name, Environment: p.Environment}, v.Digest()
	if p.App != policy.app.Name {
		refusal.Rule, refusal.Message = ruleApp, fmt.Sprintf("the intent is for app %q, published among those of %q", p.App, policy.app.Name)
		return a.refuse(ctx, refusal, time.Time{})
	}
	if policy.mayReport(p.Source) {
		refusal.Repository, refusal.RepositoryID = p.Source.Repository, p.Source.RepositoryID
		refusal.Commit, refusal.RunID = p.Source.Commit, p.Source.RunID
		refusal.HeadCommit, refusal.PullRequest = p.Source.HeadCommit, p.Source.PullRequest
	}
	grant, err := policy.Judge(v)
	if denied := (*Denied)(nil); errors.As(err, &denied) {
		return a.deny(ctx, refusal, denied)
	}
	app, found := a.app(policy.app.Name) // newest marks
	if !found {
		return nil
	}
	releases := a.Reader.Releases(refusal.Line)
	past := history(app, refusal.Line, releases)
	d := Order(past, v, grant.Force)
	switch {
	case d.Outcome == OutcomeKnown:
		return nil
	case !d.Outcome.Admits():
		refusal.Rule, refusal.Message, refusal.Superseded = d.Rule, d.Message, d.Outcome == OutcomeSuperseded
		refusal.SupersededBy = d.By
		return a.refuse(ctx, refusal, p.IssuedAt)
	}
	if grant.Environment.PullRequest != 0 {
		if p.Kind == intent.Destroy {
			return a.destroyPreview(ctx, grant, v, refusal)
		}
		if waits, denied := app.openable(grant.Environment, p.Source); denied != nil {
			return a.deny(ctx, refusal, denied)
		} else if waits {
			return nil // still news at the next look
		}
	}
	for _, old := range releases {
		if old.Number != d.Restore {
			continue
		}
		if denied := policy.judgeRelease(old, grant.Environment); denied != nil {
			return a.deny(ctx, refusal, denied)
		}
	}
	err = a.admit(ctx, grant, d, past, v, releases, refusal.At, verified)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) { // however often it is asked
		return a.rejected(ctx, refusal, rejected, grant.Environment.PullRequest != 0 && len(releases) == 0)
	}
	return err
}

// deny refuses what policy does not allow.
func (a *Agent) deny(ctx context.Context, refusal Refusal, denied *Denied) error {
	refusal.Rule, refusal.Message = denied.Rule, denied.Error()
	return a.refuse(ctx, refusal, time.Time{})
}

// rejected refuses what the API server will never store. A preview of which that was
// the first release is over.
func (a *Agent) rejected(ctx context.Context, refusal Refusal, why *Rejected, first bool) error {
	refusal.Rule, refusal.Message = "format", "the cluster cannot store the release: "+why.Message
	if why.Object.Kind == "Namespace" {
		refusal.Rule, refusal.Message = "policy: namespace", why.Message
	}
	if first {
		if err := a.abandonPreview(ctx, refusal.Line); err != nil {
			return err
		}
	}
	return a.refuse(ctx, refusal, time.Time{})
}

// mayReport reports whether the source's repository is one that a rule names:
// nothing is ever written to a stranger's commit.
func (p Policy) mayReport(s intent.Source) bool {
	return slices.ContainsFunc(p.rules, func(r compiledRule) bool { return r.RepositoryID == s.RepositoryID })
}

// String is "app/environment".
func (l Line) String() string { return l.App + "/" + l.Environment }
