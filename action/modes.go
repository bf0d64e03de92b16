package action

import (
	"encoding/json"
	"errors"
	"fmt"
)

// imageList takes the output apps of a job in mode build: which image each app
// has there.
func imageList(value string, into *map[string]string) error {
	if value == "" {
		return nil
	}
	var apps []appOutput
	if err := json.Unmarshal([]byte(value), &apps); err != nil {
		return fmt.Errorf("want the output apps of a job in mode build, which is JSON: %w", err)
	}
	images := make(map[string]string)
	for _, app := range apps {
		var image string
		if err := digestReference(app.Image, &image); err != nil || app.App == "" || image == "" {
			return fmt.Errorf("want the output apps of a job in mode build, got the app %q with the image %q", app.App, app.Image)
		}
		if _, twice := images[app.App]; twice {
			return fmt.Errorf("got two images of the app %q, want one", app.App)
		}
		images[app.App] = image
	}
	*into = images
	return nil
}

// completeImages returns what does not go with the mode.
func (in *Inputs) completeImages() error {
	switch {
	case in.Images != nil && in.Mode != modeSign:
		return fmt.Errorf("input images: this is for mode sign, got mode %s", in.Mode)
	case in.Images != nil && in.Image != "":
		return errors.New("input images: leave out this or image: one of the two says what is signed")
	case in.Image != "" && in.Mode == modeBuild:
		return errors.New("input image: mode build makes the image: leave out image, or mode")
	}
	return nil
}

// imageMissing is why mode sign cannot go on.
func imageMissing() error {
	return userError("mode sign never builds, and no image is given",
		"give the input images the output apps of the job that built, as in `images: ${{ needs.build.outputs.apps }}`, or one image by its digest in the input image")
}
