package action

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

const (
	// maxLookedAt is how many intents are fetched to find the last deploy: rollbacks
	// may stand before it.
	maxLookedAt = 10
	// maxPlanRows is how many changes of one app a table shows; the log has all.
	maxPlanRows = 100
	planTime    = "2006-01-02 15:04 UTC"
)

// planned is what a run would do to one app.
type planned struct {
	*deploy
	does    string // in words
	image   string // which one, in words
	against string // what the changes are compared with, in words
	changes []spec.Change
}

// tellPlan says what the run would do, in the log, the job summary and the output
// plan. It publishes nothing and needs no ID token.
func (a *Action) tellPlan(ctx context.Context, o *outcome) error {
	var plans []planned
	for _, d := range o.deploys {
		p := planned{deploy: d}
		switch d.kind {
		case intent.Destroy:
			p.does = "everything of it would be destroyed"
		case intent.Rollback:
			p.does = "rolled back to " + d.inputs.RollbackTo
		case intent.Deploy:
			p.does = "deploy of commit " + short(d.commit())
			if err := a.foresee(ctx, &p); err != nil {
				d.failure = err
				return err
			}
		}
		plans = append(plans, p)
	}
	gh := a.github()
	for _, p := range plans {
		gh.Group(fmt.Sprintf("Plan: %s in %s", p.app.Name, p.environment))
		a.infof("%s", p.text())
		gh.EndGroup()
	}
	o.plan = planMarkdown(plans)
	return nil
}

// foresee finds out what a deploy would bring, as far as the registry tells.
func (a *Action) foresee(ctx context.Context, p *planned) error {
	switch {
	case p.inputs.Image != "":
		p.image = "the given one, " + p.inputs.Image
	case p.inputs.Mode == modeSign:
		return imageMissing()
	default:
		a.findCode(ctx, p.deploy)
		b := a.newBuild(p.deploy)
		if err := a.hasDockerfile(b); err != nil {
			return err
		}
		p.image = "would be built from " + b.dockerfile
		if b.buildpacks {
			p.image = "would be built by buildpacks of " + b.base
		}
		if p.images == "" {
			break
		}
		found, ok, err := a.Images.FindImage(ctx, b.repository, b.tag)
		switch {
		case err != nil:
			p.image += "; whether it is there already cannot be told: " + err.Error()
		case ok:
			p.image = "is there already, " + b.repository + "@" + found
		default:
			p.image += " as " + b.reference()
		}
	}
	a.compare(ctx, p)
	return nil
}

// compare finds the changes since the last deploy that was published. Whether that
// one is live, the cluster alone knows.
func (a *Action) compare(ctx context.Context, p *planned) {
	was := spec.App{Name: p.app.Name} // the app is known, even if nothing of it runs
	defer func() {
		p.app.ImageUser = was.ImageUser // the image says, not the file
		p.changes = spec.Diff(was, p.app)
	}()
	if p.intents == "" {
		p.against = "nothing: neither image-repository nor intents-repository is given"
		return
	}
	last, back, err := a.lastDeploy(ctx, p.intents, p.environment)
	switch {
	case err != nil:
		p.against = "nothing, since what was published cannot be told: " + err.Error()
		return
	case last == nil:
		p.against = "nothing: no deploy to " + p.environment + " is published"
		return
	}
	was = *last.Predicate.Spec
	p.against = fmt.Sprintf("the last deploy that was published, of commit %s on %s", short(last.Predicate.Source.Commit), last.Predicate.IssuedAt.Format(planTime))
	if back {
		p.against += "; a rollback was published after it"
	}
}

// lastDeploy is the newest deploy of the environment, nil if there is none or it
// was destroyed since; back says that a rollback came after it. The signatures are
// the agent's business: this is for people to read.
func (a *Action) lastDeploy(ctx context.Context, repository, environment string) (last *intent.Statement, back bool, err error) {
	tags, err := a.Intents.Tags(ctx, repository, environment)
	if err != nil {
		return nil, false, err
	}
	for _, tag := range tags[:min(len(tags), maxLookedAt)] {
		data, err := a.Intents.Fetch(ctx, repository, tag)
		if err != nil {
			return nil, false, err
		}
		envelope, err := intent.Decode(data)
		if err != nil {
			continue // a stranger's, which the agent refuses
		}
		statement := envelope.Claimed()
		switch statement.Predicate.Kind {
		case intent.Deploy:
			return &statement, back, nil
		case intent.Destroy:
			return nil, false, nil
		case intent.Rollback:
			back = true
		}
	}
	return nil, back, nil
}

// text is the plan for a log.
func (p planned) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s: %s\n", p.app.Name, p.environment, p.does)
	if p.kind != intent.Deploy {
		return b.String()
	}
	fmt.Fprintf(&b, "image: %s\ncompared with %s\n", p.image, p.against)
	for _, c := range p.changes {
		sign, value := c.Words(line)
		fmt.Fprintf(&b, "%s %s: %s\n", sign, line(c.Path), value)
	}
	if len(p.changes) == 0 {
		b.WriteString("the description does not change\n")
	}
	for _, row := range meaning(p.app) {
		b.WriteString(line(strings.Join(row, "  ")) + "\n")
	}
	return b.String()
}

// meaning is what an app runs, a service a row: name, type, how many, CPU, memory
// and where or when.
func meaning(app spec.App) [][]string {
	var rows [][]string
	for _, s := range app.Services {
		replicas := strconv.Itoa(s.Replicas)
		if s.Scale.Scales() {
			replicas = fmt.Sprintf("%d–%d", s.Scale.Min, s.Scale.Max)
		}
		where := strings.Join(s.Domains, ", ")
		switch {
		case s.Type == spec.Job:
			if replicas, where = "", s.Schedule.Cron; where == "" {
				where = "by hand"
			}
		case s.Type == spec.Web && where == "":
			where = "port " + strconv.Itoa(s.Port)
		}
		rows = append(rows, []string{s.Name, string(s.Type), replicas, s.CPU, s.Memory, where})
	}
	for name, task := range map[string]*spec.Task{"predeploy": app.Predeploy} {
		if task != nil {
			rows = append(rows, []string{name, "before each release", "", task.CPU, task.Memory, ""})
		}
	}
	for _, d := range app.Databases {
		rows = append(rows, []string{d.Name, d.Type, "", "", "", "in " + d.Env})
	}
	return rows
}
