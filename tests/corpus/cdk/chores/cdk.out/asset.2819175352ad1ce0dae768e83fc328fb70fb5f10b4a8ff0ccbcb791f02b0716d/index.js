// The code of a custom resource of CDK: left out of the corpus.
