"""Atlas: landing files to gold tables in Postgres, run and watched from Dagster."""
