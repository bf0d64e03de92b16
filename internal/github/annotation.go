package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

const (
	// maxAnnotations is what GitHub takes with one request.
	// https://docs.github.com/en/rest/checks/runs#create-a-check-run
	maxAnnotations = 50

	// maxAnnotationTitleRunes and maxAnnotationBytes are GitHub's limits of an annotation.
	maxAnnotationTitleRunes = 255
	maxAnnotationBytes      = 64 << 10
)

var errAlreadyAnnotated = errors.New("the check run has its annotations already")

// Annotation points at a line of a file of the commit.
type Annotation struct {
	Path    string // in the repository
	Line    int    // from 1; below that, the first
	Level   string // notice, warning or failure
	Title   string // longer ones than 255 characters are cut
	Message string // longer ones than 64 KiB are truncated visibly
}

func (a Annotation) validate() error {
	if !slices.Contains([]string{"notice", "warning", "failure"}, a.Level) {
		return fmt.Errorf("annotation of %q: level %q: want notice, warning or failure", a.Path, a.Level)
	}
	if a.Path == "" || a.Message == "" {
		return fmt.Errorf("annotation: got path %q and message %q, want both", a.Path, a.Message)
	}
	return nil
}

type annotationJSON struct {
	Path    string `json:"path"`
	Start   int    `json:"start_line"`
	End     int    `json:"end_line"`
	Level   string `json:"annotation_level"`
	Message string `json:"message"`
	Title   string `json:"title,omitempty"`
}

func annotationsJSON(all []Annotation) []annotationJSON {
	var list []annotationJSON
	for _, a := range all[:min(len(all), maxAnnotations)] {
		list = append(list, annotationJSON{
			Path: a.Path, Start: max(a.Line, 1), End: max(a.Line, 1), Level: a.Level,
			Message: shown(a.Message, maxAnnotationBytes), Title: cutRunes(oneLine(a.Title), maxAnnotationTitleRunes),
		})
	}
	return list
}

// annotated reports whether GitHub has annotations of a check run already. It appends those of every update to them.
func (c *Client) annotated(ctx context.Context, run CheckRun) (bool, error) {
	path, err := repositoryPath(run.Repository)
	if err != nil {
		return false, err
	}
	var there checkRunJSON
	cl := call{method: http.MethodGet, path: path + "/check-runs/" + strconv.FormatInt(run.ID, 10), repository: run.Repository}
	err = c.do(ctx, cl, &there)
	if err == nil {
		err = there.proof()
	}
	if err != nil {
		return false, fmt.Errorf("looking at the annotations of check run %d in %s: %w", run.ID, run.Repository, err)
	}
	return there.Output != nil && there.Output.Annotated > 0, nil
}
