package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/inhaul/inhaul/lab/gallery"
)

type galleryCommand struct {
	Out  string `arg:"" help:"Folder for index.html, and for a page of each story in both themes."`
	Root string `default:"." help:"The repository with the golden files."`
}

func (c *galleryCommand) Run(m *machine) error {
	stories, err := gallery.Load(os.DirFS(c.Root))
	if err != nil {
		return err
	}
	if len(stories) == 0 {
		return fmt.Errorf("no golden file below %s: want agent/testdata/face/*.md and action/testdata/face/*.md", c.Root)
	}
	views := map[string]gallery.View{"index": {Title: "Inhaul on GitHub", Groups: gallery.Groups(stories), Stories: stories, Shown: stories, Together: true}}
	for _, theme := range []string{"light", "dark"} {
		views["stories/together."+theme] = gallery.View{Title: "together", Theme: theme, Stories: stories, Together: true}
		for _, s := range stories {
			views["stories/"+s.ID()+"."+theme] = gallery.View{Title: s.ID(), Theme: theme, Shown: []gallery.Story{s}}
		}
	}
	if err := os.MkdirAll(filepath.Join(c.Out, "stories"), 0o755); err != nil {
		return err
	}
	for name, view := range views {
		file, err := os.Create(filepath.Join(c.Out, name+".html"))
		if err != nil {
			return err
		}
		if err := errors.Join(view.Write(file), file.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	fmt.Fprintf(m.out, "%d stories: %s\n", len(stories), filepath.Join(c.Out, "index.html"))
	return nil
}
