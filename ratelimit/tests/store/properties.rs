//! Random schedules: the script does what the model does, and both keep the promises.
