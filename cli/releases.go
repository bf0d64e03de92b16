package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// releasesCommand is `inhaul releases`.
type releasesCommand struct {
	App         string `arg:"" help:"The app."`
	Environment string `short:"e" default:"production" placeholder:"NAME" help:"The environment (default production)."`
	JSON        bool   `name:"json" help:"Print a JSON array instead of a table."`

	Cluster Connection `embed:""`
}

// Help is shown by --help.
func (releasesCommand) Help() string {
	return `Newest first; * marks the one that serves. Each that succeeded can be brought back:
inhaul rollback APP --to NUMBER. Nothing is changed anywhere.

Needs the right to get apps in the agent's namespace, and to list releases in the
environment's (of inhaul.dev).

Exit codes: 0 done; 1 yours to mend; 2 ours, or the network's.`
}

// shownRelease is a release as --json prints it.
type shownRelease struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Number      int       `json:"number"`
	Serving     bool      `json:"serving"`
	Phase       string    `json:"phase"`
	Reason      string    `json:"reason,omitempty"`
	Restores    int       `json:"restores,omitempty"` // number of the release that it brought back
	Commit      string    `json:"commit,omitempty"`   // whose code it runs
	Image       string    `json:"image,omitempty"`
	Actor       string    `json:"actor,omitempty"`
	Message     string    `json:"message,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// Run lists the releases.
func (o releasesCommand) Run(ctx context.Context, c Commands) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	cluster, err := c.connect(o.Cluster)
	if err != nil {
		return err
	}
	p, err := cluster.find(ctx, o.App, o.Environment, o.Cluster.Namespace)
	if err != nil {
		return err
	}
	records, err := cluster.records(ctx, p)
	if err != nil {
		return err
	}
	serves := serving(records)
	if o.JSON {
		return c.printJSON(records, serves)
	}
	if len(records) == 0 {
		_, err := fmt.Fprintf(c.Stdout, "nothing was ever released of %s\n", p)
		return err
	}
	table := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  NUMBER\tCOMMIT\tIMAGE\tPHASE\tREASON\tAGE\tACTOR") // Flush tells
	for _, r := range records {
		mark := " "
		if r.Spec.Number == serves {
			mark = "*"
		}
		_, _ = fmt.Fprintf(table, "%s %d\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, r.Spec.Number, cell(r.Spec.ShortCommit), cell(shortDigest(r.Spec.Image)),
			cell(r.phase()), cell(r.why()), age(c.Now().Sub(r.Metadata.CreationTimestamp)), cell(r.Spec.Source.Actor))
	}
	return table.Flush()
}

func (c Commands) printJSON(records []record, serves int) error {
	all := make([]shownRelease, len(records))
	for i, r := range records {
		all[i] = shownRelease{
			App: r.Spec.App, Environment: r.Spec.Environment, Number: r.Spec.Number, Serving: r.Spec.Number == serves,
			Phase: r.phase(), Reason: r.Spec.Reason, Restores: r.Spec.Restore, Commit: r.commit(), Image: r.Spec.Image,
			Actor: r.Spec.Source.Actor, Message: r.Status.Message, CreatedAt: r.Metadata.CreationTimestamp.UTC(),
		}
	}
	encoder := json.NewEncoder(c.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}

// why is the reason of a release, with the release that it brought back.
func (r record) why() string {
	if r.Spec.Restore == 0 {
		return r.Spec.Reason
	}
	return r.Spec.Reason + " to " + strconv.Itoa(r.Spec.Restore)
}

// cell is a text of the cluster in a table.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return visible(text)
}

// digestLength is how many hex digits tell the images of one app apart.
const digestLength = 12

// shortDigest is the beginning of an image's digest; empty without one.
func shortDigest(image string) string {
	_, digest, _ := strings.Cut(image, "@sha256:")
	return digest[:min(len(digest), digestLength)]
}

// age is a duration as kubectl tells it, in one unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, d)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}
